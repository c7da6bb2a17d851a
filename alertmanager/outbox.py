"""Notifications that were decided and wait for their receiver's answer.

A notification is frozen when it is decided and kept before it leaves, so that a process that dies
between the receiver's answer and our record sends exactly the same again, under the same dedup key.
Only while the database refuses it leaves without being kept, for people must hear of it all the same: a
process that dies then decides anew, and has the same key only where its group still says the same.
Here Fleetowl differs from Alertmanager, which forgets a notification that failed for a whole group_interval
and makes a new one of what is true then: its receiver hears of the change only, ours first hears what was
decided, then the change.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from alertmanager.notification import Delivery, Notification, Outcome, Pending
from alertmanager.settings import RetrySettings
from alertmanager.tables import kept_pending
from model.moment import MINUTE, format_duration

JITTER = 0.25
"""Waits vary by this share, so that many groups do not knock at a recovering receiver together."""

ATTEMPTS = 10
"""A notification is not given up for its age before so many: the clock may have jumped ahead."""

UNANSWERED = 5 * MINUTE
"""A notification whose outcome nobody recorded for so long is handed out again (same dedup key).

Who carries it leaves it be while it is still under way: a receiver may have a longer timeout.
"""


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A notification that is not tried any more, and why."""

    why: str


class Outbox:
    """At most one notification for each delivery, and when each is handed out next."""

    def __init__(self) -> None:
        self.kept = kept_pending()
        self._at: dict[Delivery, int] = {}
        self._out: set[Delivery] = set()
        self._due: list[tuple[int, Delivery]] = []

    def __contains__(self, delivery: object) -> bool:
        return delivery in self.kept

    def __iter__(self) -> Iterator[Delivery]:
        return iter(list(self.kept))

    def __len__(self) -> int:
        return len(self.kept)

    @property
    def next_at(self) -> int | None:
        """When (ms) the next one is handed out."""
        while self._due and self._at.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def get(self, delivery: Delivery) -> Pending | None:
        """What waits for this delivery."""
        return self.kept.get(delivery)

    def values(self) -> Iterable[Pending]:
        """Everything that waits."""
        return self.kept.values()

    def put(self, pending: Pending) -> None:
        """Hand it out from its `next_at` on."""
        delivery = pending.notification.delivery
        self.kept[delivery] = pending
        self._out.discard(delivery)
        self._queue(delivery, pending.next_at)

    def remove(self, delivery: Delivery) -> None:
        """It was taken, or is not tried any more."""
        del self.kept[delivery]
        self._at.pop(delivery, None)
        self._out.discard(delivery)

    def leaving(self, now: int) -> list[Notification]:
        """What is to be sent now, the most urgent first."""
        found = []
        while self._due and self._due[0][0] <= now:
            at, delivery = heapq.heappop(self._due)
            if self._at.get(delivery) == at:
                found.append(self.kept[delivery].notification)
                self._out.add(delivery)
                self._queue(delivery, now + UNANSWERED)
        return sorted(found, key=lambda notification: (notification.tier, notification.at))

    def loaded(self, now: int, settings: RetrySettings) -> None:
        """After loading: nothing is under way, and no wait was begun by a clock that ran ahead."""
        self._out.clear()
        self._due = []
        for delivery, pending in self.kept.items():
            longest = settings.refused_interval if pending.refusals else settings.max_backoff
            self._due.append((min(pending.next_at, now + longest), delivery))
        self._at = {delivery: at for at, delivery in self._due}
        heapq.heapify(self._due)

    def clock_went_back(self, now: int, wait: int) -> None:
        """Nothing waits longer than `wait` ms, but for what is under way."""
        for delivery, pending in list(self.kept.items()):
            next_at = min(pending.next_at, now + wait)
            self.kept.put(delivery, replace(pending, next_at=next_at))
            self._queue(delivery, now + UNANSWERED if delivery in self._out else next_at)

    def _queue(self, delivery: Delivery, at: int) -> None:
        self._at[delivery] = at
        heapq.heappush(self._due, (at, delivery))


def after_failure(
    pending: Pending, outcome: Outcome, settings: RetrySettings, now: int
) -> tuple[int, int] | GivenUp:
    """The wait (ms) and the number of refusals after an answer that was not a yes."""
    notification = pending.notification
    refusals = pending.refusals + (0 if outcome.retry else 1)
    if refusals >= settings.refused_attempts:
        return GivenUp(f"it was refused {refusals} times")
    if now - notification.at >= settings.give_up_after and notification.attempt >= ATTEMPTS:
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
