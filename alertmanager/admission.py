"""How many alerts there may be, so that no sender can take the memory of all.

What is known is always refreshed, and what ends always ends. A new alert needs a place; one sender may
have only so many of them, and a P0 gets one where others do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from model.alert import Alert, Tier
from model.moment import SECOND

SHARE = 0.75
"""Of all places, what one sender may have: the rest is for the others."""
URGENT = 2
"""P0 alerts are taken until there are so many times the alerts that there may be."""
SWEEP = 10 * SECOND
"""How often it is looked which alerts are gone, when places are short."""
ROOM = 1_000
"""Without a limit it is looked after so many new ones, or a quarter more than there were."""


class Admitted(NamedTuple):
    """The alerts that go on, how many were refused, and the sentence for their sender."""

    alerts: list[Alert]
    refused: int = 0
    reason: str = ""


class Admission:
    """Counts distinct firing alerts by sender. `known` says whether an alert is remembered elsewhere."""

    def __init__(self, most: int, known: Callable[[int], bool]) -> None:
        self.most = most
        self._known = known
        self._senders: dict[int, str] = {}
        self._fresh: set[int] = set()  # since the last sweep; they may not be known yet
        self._counts: Counter[str] = Counter()
        self._swept_at = 0
        self._most_unswept = ROOM

    def __len__(self) -> int:
        return len(self._senders)

    def seed(self, fingerprints: Iterable[int]) -> None:
        """These fire already, of no known sender: after a restart."""
        for fingerprint in fingerprints:
            self._take(fingerprint, "")

    def admit(self, alerts: Sequence[Alert], sender: str, now: int) -> Admitted:
        """Of what one sender brings, what goes on."""
        taken: list[Alert] = []
        refused = 0
        why = ""
        for alert in alerts:
            fingerprint = alert.fingerprint
            if fingerprint in self._senders or self._known(fingerprint):
                taken.append(alert)
            elif alert.resolved_at(now):
                continue  # nobody has heard that it began
            elif self._has_room(alert, sender, now):
                self._take(fingerprint, sender)
                taken.append(alert)
            else:
                refused += 1
                why = why or self._why(sender)
        return Admitted(taken, refused, why)

    def _has_room(self, alert: Alert, sender: str, now: int) -> bool:
        if not self.most:
            if len(self._senders) > self._most_unswept:
                self._sweep(now)
            return True
        if self._fits(alert, sender):
            return True
        if 0 <= now - self._swept_at < SWEEP:
            return False
        self._sweep(now)
        return self._fits(alert, sender)

    def _fits(self, alert: Alert, sender: str) -> bool:
        if alert.tier is Tier.P0:
            return len(self._senders) < self.most * URGENT
        return len(self._senders) < self.most and self._counts[sender] < max(1, int(self.most * SHARE))

    def _take(self, fingerprint: int, sender: str) -> None:
        self._senders[fingerprint] = sender
        self._fresh.add(fingerprint)
        self._counts[sender] += 1

    def _sweep(self, now: int) -> None:
        self._swept_at = now
        self._senders = {
            one: sender for one, sender in self._senders.items() if one in self._fresh or self._known(one)
        }
        self._fresh.clear()
        self._counts = Counter(self._senders.values())
        self._most_unswept = len(self._senders) + max(ROOM, len(self._senders) // 4)

    def _why(self, sender: str) -> str:
        if len(self._senders) >= self.most:
            what = f"{len(self._senders)} alerts fire and {self.most} are the most"
        else:
            what = f"{self._counts[sender]} alerts of {sender} fire, and {self.most} in all are the most"
        return f"{what} (alertmanager.fleetowl.max_alerts): new ones are not taken, known ones are refreshed"
