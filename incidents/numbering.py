"""Ids of incidents: `INC-20261120-0001`, readable, never random, never used twice."""

from __future__ import annotations

from sqlalchemy import Connection, select

from incidents.tables import STATE
from model.moment import format_moment
from store.columns import upsert

_KEY = "last_id"


class Numbering:
    """Counts the incidents of each day (UTC). A clock that steps back does not bring an old day back."""

    def __init__(self) -> None:
        self._day = ""
        self._number = 0
        self._saved = ("", 0)

    def next(self, now: int) -> str:
        """The next id.

        >>> numbering = Numbering()
        >>> numbering.next(1_795_132_800_000), numbering.next(1_795_132_800_000)
        ('INC-20261120-0001', 'INC-20261120-0002')
        """
        today = format_moment(now)[:10].replace("-", "")
        if today > self._day:
            self._day, self._number = today, 0
        self._number += 1
        return f"INC-{self._day}-{self._number:04d}"

    @property
    def dirty(self) -> bool:
        """Whether the last id is not on disk yet."""
        return self._saved != (self._day, self._number)

    def load(self, tx: Connection) -> None:
        """Go on after the last id that was kept."""
        found = tx.scalar(select(STATE.c.value).where(STATE.c.key == _KEY))
        if found is not None:
            self._day, self._number = found
        self._saved = (self._day, self._number)

    def save(self, tx: Connection) -> None:
        """Write the last id."""
        upsert(tx, STATE, [{"key": _KEY, "value": [self._day, self._number]}])

    def saved(self) -> None:
        """The commit succeeded."""
        self._saved = (self._day, self._number)
