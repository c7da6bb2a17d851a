"""Pages: notifications that no group asked for (an escalation, a status update, a digest, a dead man).

A page goes through the same outbox as what groups are told: frozen, on disk before it leaves, repeated
under the same dedup key until the receiver takes it. Its key is remembered in the notification log, so
neither a repeated call nor a restarted process sends it twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from alertmanager.notification import PAGE, Brief, Delivery, Notification, Page
from model.labels import Labels


def delivery_of(page: Page, integration: str) -> Delivery:
    """Under which name the outbox and the notification log know a page."""
    return Delivery(PAGE + page.key, page.receiver, integration)


def notification_of(page: Page, delivery: Delivery, briefs: Sequence[Brief], now: int) -> Notification:
    """The page as one integration is told it."""
    ended = frozenset(alert.fingerprint for alert in page.alerts if page.resolved or alert.resolved_at(now))
    return Notification(
        delivery,
        Labels(),
        page.alerts,
        firing=frozenset(alert.fingerprint for alert in page.alerts) - ended,
        resolved=ended,
        at=now,
        sequence=1,
        dedup_key=_dedup_key(delivery),
        why=page.why,
        headline=page.headline,
        briefs=tuple(briefs),
        urgency=page.tier,
    )


def _dedup_key(delivery: Delivery) -> str:
    """By the page's key alone: what was sent just before a crash is sent again under the same one."""
    return hashlib.sha256(json.dumps(list(delivery)).encode()).hexdigest()[:32]
