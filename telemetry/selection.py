"""What a selector has found in one slab, and the reads that rules make of it.

Prometheus 3's meaning: a range is left-open, `(start, end]`; an instant read takes the last sample in
`(at - lookback, at]` and finds nothing where that sample is the stale marker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from model.labels import Labels
from telemetry.bits import Flags, Floats, Ints, is_missing, is_stale

if TYPE_CHECKING:
    from telemetry.storage import Storage


class StaleSelection(RuntimeError):
    """The series were moved or renumbered since the selection was made: select again."""


class Selection:
    """Series of one metric name at one interval: `ids` (ascending) and `labels`, aligned.

    Valid until series are added or dropped (`Window.generation`); do not keep it over a tick.
    """

    def __init__(self, storage: Storage, name: str, interval: int, ids: Ints, labels: list[Labels]) -> None:
        self.name = name
        self.interval = interval
        self.ids = ids
        self.labels = labels
        self._storage = storage
        self._layout = storage.layout
        if not len(ids):
            return
        self._cadence = storage.cadences[storage.series.cadence[ids[0]]]
        self._groups, self._among = np.unique(storage.series.group[ids], return_inverse=True)
        self._base = storage.series.base[ids]
        self._stride = int(storage.series.stride[ids[0]])

    def part(self, rows: Ints) -> Selection:
        """Some of these series; `rows` ascending."""
        labels = [self.labels[row] for row in rows.tolist()]
        return Selection(self._storage, self.name, self.interval, self.ids[rows], labels)

    def __len__(self) -> int:
        return len(self.ids)

    def instant(self, at: int, lookback: int) -> tuple[Floats, Ints, Flags]:
        """(values, times, present), `[series]` each: the last sample in `(at - lookback, at]`.

        `present` is false where there is none or where it is the stale marker; a NaN that the target
        sent is present. Read values and times only where present.
        """
        self._check()
        times = self._storage.series.last_time[self.ids]
        values = self._storage.series.last_value[self.ids]
        earlier = times > at
        if earlier.any():
            # Not a read of the head: look for the newest sample that is not younger than `at`.
            past = np.flatnonzero(earlier)
            values[past], times[past] = self._last_before(past, at, lookback)
        present = (times > at - lookback) & ~is_stale(values) & ~is_missing(values)
        return values, times, present

    def range(self, start: int, end: int) -> tuple[Ints, Floats, Flags]:
        """(times, values, present), `[K, series]` each: the samples in `(start, end]`, oldest first.

        Stale markers are not present. Read times and values only where present.
        """
        times, values, inside = self._rows(np.arange(len(self.ids)), start, end)
        return times, values, inside & ~is_stale(values)

    def _last_before(self, columns: Ints, at: int, lookback: int) -> tuple[Floats, Ints]:
        times, values, inside = self._rows(columns, at - lookback, at)
        if not len(times):
            return np.full(len(columns), np.nan), np.full(len(columns), at - lookback)
        last = len(times) - 1 - inside[::-1].argmax(axis=0)
        each = np.arange(len(columns))
        found = inside[last, each]
        return values[last, each], np.where(found, times[last, each], at - lookback)

    def _rows(self, columns: Ints, start: int, end: int) -> tuple[Ints, Floats, Flags]:
        """Samples in `(start, end]` with the stale ones, and where there is one."""
        self._check()
        cadence, groups = self._cadence, self._groups
        before, until = cadence.rank(groups, start), cadence.rank(groups, end)
        rows = int((until - before).max(initial=0))
        oldest = cadence.count[groups] - cadence.filled(groups)
        # Aligned at the end: the last row is each group's newest sample up to `end`.
        place = until + np.arange(-rows, 0)[:, None]
        slots = (oldest + place) % cadence.slots
        among = self._among[columns]
        times = cadence.times[slots, groups][:, among]
        values = self._storage.arena.values[self._base[columns] + slots[:, among] * self._stride]
        inside = (place >= before)[:, among] & ~is_missing(values)
        return times, values, inside

    def _check(self) -> None:
        self._storage.settle()
        if self._layout != self._storage.layout:
            raise StaleSelection(f"the series of {self.name} have moved: select again")
