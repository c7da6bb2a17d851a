"""A notification as its templates see it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from alertmanager.notification import Notification
from alertmanager.template.moments import ZERO, Time
from alertmanager.template.values import KV, AlertView, AlertViews, Data
from model.alert import Alert
from model.labels import format_fingerprint

_META = re.compile(r"([\\.+*?()|\[\]{}^$])")


def data_of(notification: Notification, external_url: str = "") -> Data:
    """Alertmanager's data, in which the receiver's name is escaped for a regular expression."""
    alerts = notification.alerts
    return Data(
        Receiver=receiver_name(notification.receiver),
        Status=notification.status,
        Alerts=AlertViews(_view(alert, notification.at) for alert in alerts),
        GroupLabels=KV(notification.group_labels),
        CommonLabels=KV(shared([dict(alert.labels.pairs) for alert in alerts])),
        CommonAnnotations=KV(shared([alert.annotations for alert in alerts])),
        ExternalURL=external_url.rstrip("/"),
        now=notification.at,
    )


def receiver_name(name: str) -> str:
    """A receiver's name as Alertmanager tells it.

    >>> receiver_name("team.gpu")
    'team\\\\.gpu'
    """
    return _META.sub(r"\\\1", name)


def shared(sets: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The pairs that all sets have."""
    if not sets:
        return {}
    common = set(sets[0].items())
    for other in sets[1:]:
        common &= other.items()
        if not common:
            return {}
    return {name: value for name, value in sets[0].items() if (name, value) in common}


def _view(alert: Alert, now: int) -> AlertView:
    ended = alert.ends_at is not None and alert.resolved_at(now)
    return AlertView(
        Status="resolved" if ended else "firing",
        Labels=KV(alert.labels.pairs),
        Annotations=KV(alert.annotations),
        StartsAt=Time(alert.starts_at),
        EndsAt=Time(alert.ends_at) if ended and alert.ends_at is not None else Time(ZERO),
        GeneratorURL=alert.generator_url,
        Fingerprint=format_fingerprint(alert.fingerprint),
    )
