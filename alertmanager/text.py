"""A notification as a person reads it at 3 a.m.: how urgent, what, where, since when, what to do first."""

from __future__ import annotations

from collections.abc import Mapping

from alertmanager.notification import Notification
from model.alert import Alert
from model.labels import Labels
from model.moment import SECOND, format_duration, format_moment
from model.topology import GPU_LABELS, NODE_LABELS, POD_LABELS

LISTED = 10
"""So many alerts stand in a message; the rest is counted."""

LINE = 400
"""So many characters of an annotation stand in a message."""

_PLACES = (
    ("node", NODE_LABELS),
    ("GPU", ("gpu", *GPU_LABELS)),
    ("pod", POD_LABELS),
    ("instance", ("instance",)),
    ("engine", ("engine",)),
    ("service", ("model_name", "service")),
)


def title(notification: Notification) -> str:
    """One line: `[P1 firing] GpuLost on node n1, GPU 3 (+2 more) INC-20261120-0001`."""
    first = _first(notification)
    more = len(notification.alerts) - 1
    parts = [
        f"[{notification.tier.name} {notification.status}]",
        _inert(first.name) or "alert",
        f"on {where(first.labels)}" if where(first.labels) else "",
        f"(+{more} more)" if more else "",
        ", ".join(notification.incidents),
    ]
    return _cut(" ".join(part for part in parts if part), 200)


def body(notification: Notification, external_url: str = "") -> str:
    """The alerts, each with its words, its beginning, the first check and the runbook."""
    alerts = sorted(notification.alerts, key=lambda alert: _urgency(alert, notification.at))
    blocks = [_block(alert, notification.at) for alert in alerts[:LISTED]]
    if len(alerts) > LISTED:
        blocks.append(f"and {len(alerts) - LISTED} more alerts")
    if external_url:
        base = external_url.rstrip("/")
        blocks += [f"{incident}: {base}/api/v1/incidents/{incident}" for incident in notification.incidents]
    return "\n\n".join(blocks)


def line(notification: Notification) -> str:
    """Title and first words, for a log or a console."""
    words = _words(_first(notification).annotations)
    return f"{title(notification)}{': ' + words if words else ''}"


def where(labels: Labels) -> str:
    """The place that an alert names, in words.

    >>> where(Labels({"Hostname": "n1", "gpu": "3", "UUID": "GPU-7"}))
    'node n1, GPU 3'
    """
    found = [
        f"{kind} {_inert(next(labels[name] for name in names if name in labels))}"
        for kind, names in _PLACES
        if any(name in labels for name in names)
    ]
    return ", ".join(found)


def _block(alert: Alert, now: int) -> str:
    place = where(alert.labels)
    lines = [f"{alert.tier.name} {_inert(alert.name)}{': ' + place if place else ''}"]
    lines += _sentences(alert.annotations)
    since = f"since {format_moment(alert.starts_at)}"
    if alert.ends_at is not None and alert.resolved_at(now):
        lasted = format_duration(max(0, alert.ends_at - alert.starts_at) // SECOND * SECOND)
        since = f"ended {format_moment(alert.ends_at)} after {lasted}"
    lines.append(since)
    for key, label in (("first_check", "First check"), ("runbook_url", "Runbook")):
        if alert.annotations.get(key):
            lines.append(f"{label}: {_cut(_inert(alert.annotations[key]), LINE)}")
    return "\n".join(lines)


def _sentences(annotations: Mapping[str, str]) -> list[str]:
    """The summary, and the description where it says more: that is where people are told to look first."""
    words, more = _words(annotations), _cut(_inert(annotations.get("description", "")), LINE)
    return [sentence for sentence in dict.fromkeys((words, more)) if sentence]


def _words(annotations: Mapping[str, str]) -> str:
    found = annotations.get("summary") or annotations.get("description") or annotations.get("message") or ""
    return _cut(_inert(found), LINE)


def _first(notification: Notification) -> Alert:
    return min(notification.alerts, key=lambda alert: _urgency(alert, notification.at))


def _urgency(alert: Alert, now: int) -> tuple[bool, int, int]:
    return alert.resolved_at(now), alert.tier, alert.starts_at


def _inert(text: str) -> str:
    """A value is data: no line break, no terminal sequence, nothing that is not printed."""
    return "".join(character if character.isprintable() else " " for character in text).strip()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
