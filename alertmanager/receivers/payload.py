"""Alertmanager's webhook JSON, version 4, no larger than the cap.

Field names, their order and the order of alerts are Alertmanager's, and so is the receiver's name, in
which it escapes what a regular expression would read. A member `fleetowl` is added only where there is
something that Alertmanager has no place for: a headline, incidents, a link to what was cut.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from alertmanager.fitting import encoded, fitted, fitted_pairs
from alertmanager.notification import Notification
from alertmanager.template.data import receiver_name, shared
from alertmanager.text import rest_url, urgency
from model.alert import Alert
from model.labels import format_fingerprint
from model.moment import format_moment

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: `endsAt` of an alert that fires."""

LEAST = 4 * 1024
"""A cap below this is taken as this: the frame of a message needs room too."""

_REMEMBERED = 8 << 20
"""Bytes of alerts' JSON that are remembered: the integrations of one group are told at the same time."""


class _Listed(NamedTuple):
    """An alert as it stands in a message."""

    labels: dict[str, str]
    annotations: dict[str, str]
    json: bytes


class Writer:
    """Writes messages; an alert that goes to several integrations is turned into JSON once."""

    def __init__(self, external_url: str = "", cap: int = 0) -> None:
        self._external_url = external_url
        self._cap = max(cap, LEAST) if cap else 0
        self._made: OrderedDict[tuple[int, bool], tuple[Alert, bytes]] = OrderedDict()
        self._bytes = 0

    def write(self, notification: Notification, max_alerts: int = 0) -> bytes:
        """The body. Where not all alerts fit, the most urgent are listed, firing before resolved."""
        alerts = notification.alerts[:max_alerts] if max_alerts else notification.alerts
        listed = self._all(alerts, notification.at)
        if listed is not None:
            body = encoded(self._body(notification, listed))
            if not self._cap or len(body) <= self._cap:
                return body
        ordered = sorted(notification.alerts, key=lambda alert: urgency(alert, notification.at))
        return self._cut(notification, ordered[: len(alerts)])

    def _all(self, alerts: Sequence[Alert], now: int) -> list[_Listed] | None:
        """Every alert as it is; None once they cannot fit."""
        listed, size = [], 0
        for alert in alerts:
            json = self._json(alert, now)
            size += len(json) + 1
            if self._cap and size > self._cap:
                return None
            listed.append(_Listed(dict(alert.labels.pairs), dict(alert.annotations), json))
        return listed

    def _cut(self, notification: Notification, ordered: Sequence[Alert]) -> bytes:
        cap, listed = self._cap, list[_Listed]()
        share = cap // 4
        frame = self._body(notification, [])
        frame["receiver"] = fitted(frame["receiver"], cap // 32)
        frame["externalURL"] = fitted(frame["externalURL"], cap // 32)
        frame["groupKey"] = fitted(frame["groupKey"], cap // 16)
        frame["groupLabels"] = fitted_pairs(notification.group_labels.items(), cap // 8)
        frame["fleetowl"] = _extras(notification, cap // 8, rest_url(notification, self._external_url))
        room = cap
        for alert in ordered:
            one = self._listed(alert, notification.at, share)
            if not listed:  # what all have in common is no more than what the first one has
                frame["commonLabels"], frame["commonAnnotations"] = one.labels, one.annotations
                room -= len(encoded(frame)) + 8
            room -= len(one.json) + 1
            if room < 0:
                break
            listed.append(one)
        frame["commonLabels"] = shared([one.labels for one in listed])
        frame["commonAnnotations"] = shared([one.annotations for one in listed])
        frame["alerts"] = [msgspec.Raw(one.json) for one in listed]
        frame["truncatedAlerts"] = len(notification.alerts) - len(listed)
        return encoded(frame)

    def _listed(self, alert: Alert, now: int, share: int) -> _Listed:
        json = self._json(alert, now)
        if len(json) <= share:
            return _Listed(dict(alert.labels.pairs), dict(alert.annotations), json)
        body = alert_body(alert, now)
        cut = fitted_alert(body, share)
        return _Listed(body["labels"], body["annotations"], cut)

    def _body(self, notification: Notification, listed: Sequence[_Listed]) -> dict[str, Any]:
        truncated = len(notification.alerts) - len(listed)
        body: dict[str, Any] = {
            "receiver": receiver_name(notification.receiver),
            "status": notification.status,
            "alerts": [msgspec.Raw(one.json) for one in listed],
            "groupLabels": dict(notification.group_labels),
            "commonLabels": shared([one.labels for one in listed]),
            "commonAnnotations": shared([one.annotations for one in listed]),
            "externalURL": self._external_url,
            "version": "4",
            "groupKey": notification.group_key,
            "truncatedAlerts": truncated,
        }
        if notification.headline or notification.briefs:
            body["fleetowl"] = _extras(notification)
        return body

    def _json(self, alert: Alert, now: int) -> bytes:
        key = id(alert), alert.resolved_at(now)
        made = self._made.get(key)
        if made is not None and made[0] is alert:
            return made[1]
        json = encoded(alert_body(alert, now))
        if len(json) < LEAST:
            self._made[key] = alert, json
            self._bytes += len(json)
            while self._bytes > _REMEMBERED:
                self._bytes -= len(self._made.popitem(last=False)[1][1])
        return json


def alert_body(alert: Alert, now: int) -> dict[str, Any]:
    """One alert of the message."""
    ended = alert.ends_at is not None and alert.resolved_at(now)
    return {
        "status": "resolved" if ended else "firing",
        "labels": dict(alert.labels.pairs),
        "annotations": dict(alert.annotations),
        "startsAt": format_moment(alert.starts_at),
        "endsAt": format_moment(alert.ends_at) if ended and alert.ends_at is not None else NEVER,
        "generatorURL": alert.generator_url,
        "fingerprint": format_fingerprint(alert.fingerprint),
    }


def fitted_alert(body: dict[str, Any], limit: int) -> bytes:
    """An alert's JSON in at most `limit` bytes; what is too long is cut in `body` too, labels last."""
    json = encoded(body)
    if len(json) <= limit:
        return json
    annotations = body["annotations"]
    body["labels"] = fitted_pairs(body["labels"].items(), limit * 5 // 16)
    body["generatorURL"] = fitted(body["generatorURL"], limit // 8)
    body["annotations"] = {}
    body["annotations"] = fitted_pairs(annotations.items(), limit - len(encoded(body)))
    return encoded(body)


def _extras(notification: Notification, limit: int = 0, rest: str = "") -> dict[str, Any]:
    """What Fleetowl has to say beyond the alerts; with a limit (bytes) only what fits of it."""
    extras: dict[str, Any] = {"tier": notification.tier.name}
    if rest and (not limit or len(rest) < limit // 2):
        extras["rest"] = rest
    if notification.headline:
        extras["headline"] = fitted(notification.headline, limit // 4) if limit else notification.headline
    briefs = list[dict[str, Any]]()
    for brief in notification.briefs:
        one = {
            "incident": brief.incident,
            "title": brief.title,
            "lines": list(brief.lines),
            "url": brief.url,
            "ack_url": brief.ack_url,
        }
        if not limit or len(encoded({**extras, "briefs": [*briefs, one]})) <= limit:
            briefs.append(one)
    return {**extras, "briefs": briefs} if briefs else extras
