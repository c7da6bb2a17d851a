"""The timelines of incidents: sentences with their moments, only ever appended to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from incidents.tables import TIMELINE
from model.moment import format_moment
from store.columns import upsert


class Entry(NamedTuple):
    """One thing that happened, at `at` (ms).

    Kinds of this room: opened, joined, tier, ended, again, resolved; others note notified and action.
    """

    at: int
    kind: str
    sentence: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"at": format_moment(self.at), "kind": self.kind, "sentence": self.sentence}


class Timelines:
    """The entries of the incidents that are remembered, and those that are not on disk yet."""

    def __init__(self) -> None:
        self._entries: dict[str, list[Entry]] = defaultdict(list)
        self._unsaved: list[tuple[str, int]] = []

    def __getitem__(self, incident: str) -> list[Entry]:
        return list(self._entries.get(incident, ()))

    def append(self, incident: str, entry: Entry) -> None:
        """Add what happened last."""
        self._unsaved.append((incident, len(self._entries[incident])))
        self._entries[incident].append(entry)

    def forget(self, incident: str) -> None:
        """Drop a timeline from memory; call it only for what is on disk."""
        self._entries.pop(incident, None)

    @property
    def dirty(self) -> bool:
        """Whether an entry is not on disk yet."""
        return bool(self._unsaved)

    def load(self, tx: Connection, incidents: Collection[str]) -> None:
        """Read the timelines of these incidents."""
        self._entries.clear()
        self._unsaved = []
        query = select(TIMELINE).order_by(TIMELINE.c.incident, TIMELINE.c.sequence)
        for chunk in _chunks(sorted(incidents), 500):
            for row in tx.execute(query.where(TIMELINE.c.incident.in_(chunk))):
                self._entries[row.incident].append(Entry(row.at, row.kind, row.sentence))

    def save(self, tx: Connection) -> None:
        """Append what is new."""
        upsert(tx, TIMELINE, [self._row(incident, sequence) for incident, sequence in self._unsaved])

    def saved(self) -> None:
        """The commit succeeded."""
        self._unsaved = []

    def _row(self, incident: str, sequence: int) -> dict[str, Any]:
        return {"incident": incident, "sequence": sequence, **self._entries[incident][sequence]._asdict()}


def _chunks(items: list[str], size: int) -> list[list[str]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
