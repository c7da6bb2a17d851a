"""Who sends samples: a scrape endpoint, an agent, a remote writer, and the series that came from it."""

from __future__ import annotations

import numpy as np

from telemetry.bits import Ints


class Members:
    """A growing array of ids."""

    def __init__(self) -> None:
        self._ids: Ints = np.empty(8, np.int64)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def ids(self) -> Ints:
        """The ids in the order in which they came: a view."""
        return self._ids[: self._size]

    def add(self, sid: int) -> None:
        """One more."""
        if self._size == len(self._ids):
            self._ids = np.concatenate([self._ids, np.empty_like(self._ids)])
        self._ids[self._size] = sid
        self._size += 1

    def extend(self, ids: Ints) -> None:
        """Several more."""
        self.replace(np.concatenate([self.ids, ids]))

    def replace(self, ids: Ints) -> None:
        """These and no others."""
        self._ids = np.concatenate([ids, np.empty(8, np.int64)])
        self._size = len(ids)

    def remove(self, ids: Ints) -> None:
        """All but these."""
        self.replace(self.ids[~np.isin(self.ids, ids)])


class Target:
    """One sender. `interval` 0: its samples share no time, each series has its own time column.

    `together` are the series that share the target's time column, `apart` those with one of their own.
    """

    def __init__(self, key: str, index: int, interval: int) -> None:
        self.key = key
        self.index = index
        self.interval = interval
        self.cadence = -1
        self.column = -1
        self.together = Members()
        self.apart = Members()

    def __repr__(self) -> str:
        return f"Target({self.key!r}, interval={self.interval})"

    @property
    def ids(self) -> Ints:
        """All its series."""
        return np.concatenate([self.together.ids, self.apart.ids])
