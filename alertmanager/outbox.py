"""Notifications that were decided and wait for their receiver's answer.

A notification is frozen when it is decided and kept before it leaves, so that a process that dies
between the receiver's answer and our record sends exactly the same again, under the same dedup key.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from alertmanager.notification import Notification, Outcome
from alertmanager.settings import RetrySettings
from model.moment import format_duration

JITTER = 0.25
"""Waits vary by this share, so that many groups do not knock at a recovering receiver together."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A notification, when it is tried next (ms), and how often it was refused for good."""

    notification: Notification
    next_at: int
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A notification that is not tried any more, and why."""

    why: str


def after_failure(
    pending: Pending, outcome: Outcome, settings: RetrySettings, now: int
) -> tuple[int, int] | GivenUp:
    """The wait (ms) and the number of refusals after an answer that was not a yes."""
    notification = pending.notification
    refusals = pending.refusals + (0 if outcome.retry else 1)
    if refusals >= settings.refused_attempts:
        return GivenUp(f"it was refused {refusals} times")
    if now - notification.at >= settings.give_up_after:
        return GivenUp(f"it was tried for {format_duration(settings.give_up_after)}")
    if not outcome.retry:
        return settings.refused_interval, refusals
    doubled = settings.min_backoff * 2 ** min(notification.attempt - 1, 30)
    wait = min(doubled, settings.max_backoff)
    return max(_jittered(wait, notification), outcome.retry_after), refusals


def _jittered(wait: int, notification: Notification) -> int:
    """Seeded by the notification itself: the same history gives the same waits."""
    chance = random.Random(f"{notification.dedup_key}/{notification.attempt}")
    return round(wait * chance.uniform(1 - JITTER, 1 + JITTER))
