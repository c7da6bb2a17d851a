"""Rules and groups as they run: what they hold, how they fared, and what is exported about them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from model.alert import Tier, tier_of
from model.metric import Metric, Sample
from rules.active import ActiveAlert
from rules.group import Rule, RuleGroup
from rules.recorder import Recorder
from rules.states import AlertStates

_BY_GROUP = ("file", "group")

METRICS = (
    Metric("fleetowl_rule_evaluations_total", "counter", "Rules evaluated.", _BY_GROUP),
    Metric("fleetowl_rule_failures_total", "counter", "Rule evaluations that failed.", _BY_GROUP),
    Metric(
        "fleetowl_rule_groups_missed_total",
        "counter",
        "Group evaluations that did not take place: the next was due before there was time for them.",
        _BY_GROUP,
    ),
    Metric(
        "fleetowl_rule_group_duration_seconds",
        "gauge",
        "What the last evaluation of a group took.",
        _BY_GROUP,
    ),
    Metric(
        "fleetowl_rule_evaluations_shed_total",
        "counter",
        "Rule evaluations put off to a later tick, because the rules used up their share of this one.",
        ("tier",),
    ),
    Metric("fleetowl_rule_alerts", "gauge", "Alerts that are pending or firing.", ("state", "tier")),
    Metric("fleetowl_rule_alerts_held", "gauge", "Restored alerts that the window cannot judge yet."),
    Metric(
        "fleetowl_rule_alerts_flapping", "gauge", "Alerts held firing because they changed again and again."
    ),
)

IDLE = -1
"""The place in a group that is not under way."""


@dataclass(slots=True)
class RuleState:
    """A rule as it runs: its alerts, what it records, and how it fared.

    `recorder` writes the series of a recording rule, and ALERTS and ALERTS_FOR_STATE of an alert.
    `evaluated_at` in ms, 0 never; `duration` in seconds.
    """

    rule: Rule
    key: str
    recorder: Recorder
    states: AlertStates | None = None
    error: str = ""
    evaluated_at: int = 0
    duration: float = 0.0


@dataclass(slots=True)
class GroupState:
    """A group as it runs, and what it has counted.

    `slot` is the number of the interval that it was evaluated for last, or is being evaluated for: then
    `place` is the rule that comes next, and `at` (ms) the moment that all its rules are evaluated at.
    `missed` counts the intervals that went by, without those that go by in the present wait (`missing`).
    """

    group: RuleGroup
    interval: int
    rules: list[RuleState]
    tier: Tier = Tier.P0
    slot: int = -1
    place: int = IDLE
    at: int = 0
    evaluations: int = 0
    failures: int = 0
    missed: int = 0
    missing: int = 0
    shed: int = 0
    shed_slot: int = -1
    duration: float = 0.0
    evaluated_at: int = 0


def samples_of(
    groups: Sequence[GroupState], active: Sequence[ActiveAlert], shed: Mapping[Tier, int]
) -> Iterator[Sample]:
    """The families of METRICS."""
    for group in groups:
        labels = {"file": Path(group.group.file).name, "group": group.group.name}
        yield Sample("fleetowl_rule_evaluations_total", labels, group.evaluations)
        yield Sample("fleetowl_rule_failures_total", labels, group.failures)
        yield Sample("fleetowl_rule_groups_missed_total", labels, group.missed + group.missing)
        yield Sample("fleetowl_rule_group_duration_seconds", labels, group.duration)
    for tier in Tier:
        yield Sample("fleetowl_rule_evaluations_shed_total", {"tier": tier.name}, shed.get(tier, 0))
    counts = Counter((alert.state, tier_of(alert.labels).name) for alert in active)
    for (state, name), count in sorted(counts.items()):
        yield Sample("fleetowl_rule_alerts", {"state": state, "tier": name}, count)
    yield Sample("fleetowl_rule_alerts_held", {}, sum(alert.restored for alert in active))
    yield Sample("fleetowl_rule_alerts_flapping", {}, sum(_flapping(groups)))


def _flapping(groups: Sequence[GroupState]) -> Iterator[int]:
    for group in groups:
        for rule in group.rules:
            if rule.states is not None and rule.states.flaps is not None:
                yield sum(record.damped for record in rule.states.flaps.records.values())
