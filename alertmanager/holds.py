"""Which alerts which reason keeps back, and from when to when.

An alert that a group's reason keeps back stands in a spell with the others that it took at the same flush.
More alerts are one more spell; fewer end a spell and begin one with the rest, so what has once been written
is changed in its end only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from alertmanager.record_rows import Hold
from alertmanager.record_tables import packed, unpacked
from alertmanager.stages import Held

Place = tuple[str, str]
Reason = tuple[str, str]


@dataclass(slots=True)
class Spell:
    """Alerts that one reason keeps back from one group since one moment."""

    id: int
    place: Place
    reason: Reason
    since: int
    fingerprints: frozenset[int]
    until: int | None = None

    def row(self) -> dict[str, Any]:
        """For the store."""
        return {
            "id": self.id,
            "group_key": self.place[0],
            "receiver": self.place[1],
            "stage": self.reason[0],
            "why": self.reason[1],
            "since": self.since,
            "until": self.until,
            "fingerprints": packed(sorted(self.fingerprints)),
        }

    @classmethod
    def of_row(cls, row: Any) -> Spell:
        """The reverse of `row`."""
        fingerprints = frozenset(unpacked(row.fingerprints))
        place, reason = (row.group_key, row.receiver), (row.stage, row.why)
        return cls(row.id, place, reason, row.since, fingerprints, row.until)

    def hold(self) -> Hold:
        """For a reader."""
        return Hold(*self.place, *self.reason, self.since, self.until)


class Spells:
    """The spells that last, and those that are not on disk yet."""

    def __init__(self) -> None:
        self.unsaved: dict[int, Spell] = {}
        self._open: dict[Place, list[Spell]] = {}
        self._last_id = 0

    def load(self, lasting: Sequence[Spell], last_id: int) -> None:
        """Take over the spells that lasted."""
        self.unsaved = {}
        self._last_id = last_id
        self._open = {}
        for spell in lasting:
            self._open.setdefault(spell.place, []).append(spell)

    def take(self, place: Place, held: Sequence[Held], now: int) -> None:
        """From now on these and no others are kept back from the group."""
        reasons: dict[Reason, set[int]] = defaultdict(set)
        for one in held:
            reasons[(one.stage, one.why)].add(one.alert.fingerprint)
        lasting = []
        for spell in self._open.get(place, ()):
            wanted = reasons.get(spell.reason, set())
            if spell.fingerprints <= wanted:
                wanted -= spell.fingerprints
                lasting.append(spell)
            else:
                spell.until = now
                self.unsaved[spell.id] = spell
        lasting += [self._begin(place, reason, left, now) for reason, left in reasons.items() if left]
        if lasting:
            self._open[place] = lasting
        else:
            self._open.pop(place, None)

    def _begin(self, place: Place, reason: Reason, fingerprints: set[int], now: int) -> Spell:
        self._last_id += 1
        spell = Spell(self._last_id, place, reason, now, frozenset(fingerprints))
        self.unsaved[spell.id] = spell
        return spell


def merged(holds: Sequence[Hold]) -> list[Hold]:
    """In the order of time; what goes on without a gap for the same reason is one."""
    return list(_merged(sorted(holds, key=lambda hold: (hold.group_key, hold.receiver, hold.since))))


def _merged(holds: Sequence[Hold]) -> Iterator[Hold]:
    before: Hold | None = None
    for hold in holds:
        same = before is not None and _identity(before) == _identity(hold) and before.until == hold.since
        if before is not None and same:
            before = Hold(*_identity(hold), before.since, hold.until)
            continue
        if before is not None:
            yield before
        before = hold
    if before is not None:
        yield before


def _identity(hold: Hold) -> tuple[str, str, str, str]:
    return hold.group_key, hold.receiver, hold.stage, hold.why
