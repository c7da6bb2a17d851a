"""What this room says about itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from alertmanager.noise import METRICS as NOISE
from model.metric import Metric, Sample

_INTEGRATION = ("receiver", "integration")

METRICS = (
    Metric("fleetowl_alertmanager_alerts", "gauge", "Accepted alerts by state.", ("state",)),
    Metric("fleetowl_alertmanager_groups", "gauge", "Groups of alerts."),
    Metric(
        "fleetowl_alertmanager_notifications_total",
        "counter",
        "Notifications that a receiver took.",
        _INTEGRATION,
    ),
    Metric(
        "fleetowl_alertmanager_notification_failures_total",
        "counter",
        "Attempts that a receiver did not take; refused = it would not take the same later either.",
        (*_INTEGRATION, "kind"),
    ),
    Metric(
        "fleetowl_alertmanager_notifications_given_up_total",
        "counter",
        "Notifications that are not tried any more.",
        _INTEGRATION,
    ),
    Metric(
        "fleetowl_alertmanager_notifications_pending",
        "gauge",
        "Notifications that wait for a receiver's answer.",
        _INTEGRATION,
    ),
    Metric(
        "fleetowl_alertmanager_stage_held_total",
        "counter",
        "Times that a stage held an alert back from a notification.",
        ("stage",),
    ),
    Metric(
        "fleetowl_alertmanager_groups_put_off",
        "gauge",
        "Groups that wait because their receiver has had its rate of messages.",
        ("receiver",),
    ),
    *NOISE,
)

Place = tuple[str, str]
"""Receiver and integration."""


@dataclass
class Stats:
    """The counts since the process started."""

    sent: Counter[Place] = field(default_factory=Counter)
    failed: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    given_up: Counter[Place] = field(default_factory=Counter)

    def samples(self) -> Iterator[Sample]:
        """The counters."""
        for place, count in self.sent.items():
            yield Sample("fleetowl_alertmanager_notifications_total", _labels(place), count)
        for (receiver, integration, kind), count in self.failed.items():
            labels = {**_labels((receiver, integration)), "kind": kind}
            yield Sample("fleetowl_alertmanager_notification_failures_total", labels, count)
        for place, count in self.given_up.items():
            yield Sample("fleetowl_alertmanager_notifications_given_up_total", _labels(place), count)


def gauges(states: Iterable[bool], groups: int, pending: Iterable[Place]) -> Iterator[Sample]:
    """The state of the moment; `states` is True for each alert that has ended."""
    ended = Counter(states)
    yield Sample("fleetowl_alertmanager_alerts", {"state": "firing"}, ended[False])
    yield Sample("fleetowl_alertmanager_alerts", {"state": "resolved"}, ended[True])
    yield Sample("fleetowl_alertmanager_groups", {}, groups)
    for place, count in Counter(pending).items():
        yield Sample("fleetowl_alertmanager_notifications_pending", _labels(place), count)


def _labels(place: Place) -> dict[str, str]:
    return dict(zip(_INTEGRATION, place, strict=True))
