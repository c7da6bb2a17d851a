"""What becomes of alerts and notifications, told to whoever keeps account of it (explain, timelines)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from alertmanager.notification import Notification, Outcome
from alertmanager.stages import Held
from model.alert import Alert
from model.decision import Decision


class Ledger(Protocol):
    """Hears of every decision of the dispatcher. It must not raise and must not keep references to change."""

    def changed(self, alerts: Sequence[Alert], now: int) -> None:
        """These alerts began, changed or ended (`alert.resolved_at(now)`); a mere repetition is no change."""

    def decided(self, notification: Notification, now: int) -> None:
        """A notification was decided; it is on disk before it leaves."""

    def answered(self, notification: Notification, outcome: Outcome, decision: Decision, now: int) -> None:
        """A receiver answered an attempt (`notification.attempt`); `decision` says what follows."""

    def held(self, group_key: str, receiver: str, held: Sequence[Held], now: int) -> None:
        """At a flush of this group these alerts stayed back; told when the set changes, not every time."""


class NoLedger:
    """Keeps nothing."""

    def changed(self, alerts: Sequence[Alert], now: int) -> None:
        """Nothing."""

    def decided(self, notification: Notification, now: int) -> None:
        """Nothing."""

    def answered(self, notification: Notification, outcome: Outcome, decision: Decision, now: int) -> None:
        """Nothing."""

    def held(self, group_key: str, receiver: str, held: Sequence[Held], now: int) -> None:
        """Nothing."""


class Ledgers:
    """Several ledgers as one."""

    def __init__(self, ledgers: Sequence[Ledger]) -> None:
        self._ledgers = tuple(ledgers)

    def changed(self, alerts: Sequence[Alert], now: int) -> None:
        """Tell all."""
        for ledger in self._ledgers:
            ledger.changed(alerts, now)

    def decided(self, notification: Notification, now: int) -> None:
        """Tell all."""
        for ledger in self._ledgers:
            ledger.decided(notification, now)

    def answered(self, notification: Notification, outcome: Outcome, decision: Decision, now: int) -> None:
        """Tell all."""
        for ledger in self._ledgers:
            ledger.answered(notification, outcome, decision, now)

    def held(self, group_key: str, receiver: str, held: Sequence[Held], now: int) -> None:
        """Tell all."""
        for ledger in self._ledgers:
            ledger.held(group_key, receiver, held, now)
