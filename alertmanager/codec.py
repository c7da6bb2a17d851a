"""Alerts and notifications as JSON values, as the state database keeps them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from alertmanager.notification import Brief, Delivery, Notification
from model.alert import Alert, Tier
from model.labels import Labels, format_fingerprint


def alert_to_json(alert: Alert) -> dict[str, Any]:
    """The whole alert; a value that JSON cannot hold (NaN, infinities) as text."""
    return {
        "labels": dict(alert.labels.pairs),
        "annotations": dict(alert.annotations),
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "value": alert.value if math.isfinite(alert.value) else str(alert.value),
        "generator_url": alert.generator_url,
        "incident": alert.incident,
        "kind": alert.kind,
        "deadline": alert.deadline,
        "entity": alert.entity,
        "runbook": alert.runbook,
    }


def alert_from_json(body: dict[str, Any]) -> Alert:
    """The reverse of `alert_to_json`; what an earlier version has not written is unsaid."""
    return Alert(
        labels=Labels(body["labels"]),
        annotations=body["annotations"],
        starts_at=body["starts_at"],
        ends_at=body["ends_at"],
        value=float(body["value"]),
        generator_url=body["generator_url"],
        incident=body["incident"],
        kind=body.get("kind", ""),
        deadline=body.get("deadline", 0),
        entity=body.get("entity", ""),
        runbook=body.get("runbook", ""),
    )


def notification_to_json(notification: Notification) -> dict[str, Any]:
    """All but the delivery, which is the key of its row."""
    return {
        "group_labels": dict(notification.group_labels.pairs),
        "alerts": [alert_to_json(alert) for alert in notification.alerts],
        "firing": hex_list(notification.firing),
        "resolved": hex_list(notification.resolved),
        "at": notification.at,
        "sequence": notification.sequence,
        "dedup_key": notification.dedup_key,
        "why": notification.why,
        "attempt": notification.attempt,
        "headline": notification.headline,
        "briefs": [brief_to_json(brief) for brief in notification.briefs],
        "urgency": notification.urgency,
    }


def notification_from_json(delivery: Delivery, body: dict[str, Any]) -> Notification:
    """The reverse of `notification_to_json`; what an earlier version has not written is unsaid."""
    return Notification(
        delivery=delivery,
        group_labels=Labels(body["group_labels"]),
        alerts=tuple(alert_from_json(alert) for alert in body["alerts"]),
        firing=from_hex(body["firing"]),
        resolved=from_hex(body["resolved"]),
        at=body["at"],
        sequence=body["sequence"],
        dedup_key=body["dedup_key"],
        why=body["why"],
        attempt=body["attempt"],
        headline=body.get("headline", ""),
        briefs=tuple(brief_from_json(brief) for brief in body.get("briefs", ())),
        urgency=None if body.get("urgency") is None else Tier(body["urgency"]),
    )


def brief_to_json(brief: Brief) -> dict[str, Any]:
    """What a message says of an incident."""
    return {
        "incident": brief.incident,
        "title": brief.title,
        "lines": list(brief.lines),
        "url": brief.url,
        "ack_url": brief.ack_url,
    }


def brief_from_json(body: dict[str, Any]) -> Brief:
    """The reverse of `brief_to_json`."""
    return Brief(
        body["incident"], body["title"], tuple(body["lines"]), url=body["url"], ack_url=body["ack_url"]
    )


def hex_list(fingerprints: Iterable[int]) -> list[str]:
    """Fingerprints as sorted hexadecimal text."""
    return [format_fingerprint(fingerprint) for fingerprint in sorted(fingerprints)]


def from_hex(texts: Iterable[str]) -> frozenset[int]:
    """The reverse of `hex_list`."""
    return frozenset(int(text, 16) for text in texts)
