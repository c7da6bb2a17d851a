"""Flap control: an alert that fires and resolves again and again is held firing until it is quiet.

Whoever hears of it four times in half an hour stops listening, and does not hear the fifth, which is real.
It is never the other way round: no alert is kept from firing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from model.labels import Labels
from rules.sidefile import Flap


@dataclass(slots=True)
class Flapping:
    """When (ms) one alert fired and resolved lately, and whether it is held firing for that."""

    changes: list[int] = field(default_factory=list)
    damped: bool = False


class FlapControl:
    """The changes of the alerts of one rule. `touched` are those whose record is not on disk as it is."""

    def __init__(self, settings: Flap) -> None:
        self.settings = settings
        self.records: dict[Labels, Flapping] = {}
        self.touched: set[Labels] = set()

    def change(self, labels: Labels, now: int) -> bool:
        """The alert fires or resolves at `now` (ms); whether it is held firing from now on."""
        record = self.records.setdefault(labels, Flapping())
        record.changes = [*self._recent(record, now), now]
        record.damped = record.damped or len(record.changes) >= self.settings.changes
        self.touched.add(labels)
        return record.damped

    def would_hold(self, labels: Labels, now: int) -> bool:
        """Whether an alert that would resolve for the first time at `now` is held instead."""
        record = self.records.get(labels)
        if record is None:
            return False
        return record.damped or len(self._recent(record, now)) + 1 >= self.settings.changes

    def holds(self, labels: Labels, now: int) -> bool:
        """Whether the alert is held firing and has not been quiet for long enough."""
        record = self.records.get(labels)
        return record is not None and record.damped and now - record.changes[-1] < self.settings.hold

    def forget_quiet(self, now: int) -> None:
        """Let go of what has not changed for so long that it flaps no more."""
        for labels, record in list(self.records.items()):
            quiet = self.settings.hold if record.damped else self.settings.within
            if now - record.changes[-1] >= quiet:
                del self.records[labels]
                self.touched.add(labels)

    def _recent(self, record: Flapping, now: int) -> list[int]:
        return [at for at in record.changes if now - at < self.settings.within]
