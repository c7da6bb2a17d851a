"""What a selector has found in one slab, and the reads that rules make of it.

Prometheus 3's meaning: a range is left-open, `(start, end]`; an instant read takes the last sample in
`(at - lookback, at]` and finds nothing where that sample is the stale marker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.labels import Labels
from telemetry.bits import Flags, Floats, Ints, is_missing, is_stale

if TYPE_CHECKING:
    from telemetry.storage import Storage


class StaleSelection(RuntimeError):
    """The series were moved or renumbered since the selection was made: select again."""


@dataclass(slots=True)
class Samples:
    """Samples of S series over a range, oldest first: `values` and `present` are `[K, S]`.

    `times` is `[K, G]`, a column for each group of series that share their times; `columns` says which one
    is that of each series. `odd`: a value is NaN, so it may be missing or stale.
    """

    times: Ints
    columns: Ints
    values: Floats
    present: Flags
    odd: bool


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
        found = self.samples(start, end)
        return found.times.take(found.columns, axis=1), found.values, found.present

    def samples(self, start: int, end: int) -> Samples:
        """The same, with the times as they are kept: once for all series of a group."""
        found = self._rows(np.arange(len(self.ids)), start, end)
        if found.odd:
            found.present &= ~is_stale(found.values)
        return found

    def _last_before(self, columns: Ints, at: int, lookback: int) -> tuple[Floats, Ints]:
        found = self._rows(columns, at - lookback, at)
        values, inside = found.values, found.present
        if not len(values):
            return np.full(len(columns), np.nan), np.full(len(columns), at - lookback)
        last = len(inside) - 1 - inside[::-1].argmax(axis=0)
        each = np.arange(len(columns))
        times = np.where(inside[last, each], found.times[last, found.columns], at - lookback)
        return values[last, each], times

    def _rows(self, columns: Ints, start: int, end: int) -> Samples:
        """Samples in `(start, end]` with the stale ones, and where there is one."""
        self._check()
        cadence, groups = self._cadence, self._groups
        before, until = cadence.rank(groups, start), cadence.rank(groups, end)
        held = until - before
        rows = int(held.max(initial=0))
        oldest = cadence.count[groups] - cadence.filled(groups)
        # Aligned at the end: the last row is each group's newest sample up to `end`.
        place = until + np.arange(-rows, 0)[:, None]
        slots = (oldest + place) % cadence.slots
        among = self._among[columns]
        positions = (slots * self._stride).take(among, axis=1)
        positions += self._base[columns]
        values = self._storage.arena.values.take(positions)
        odd = bool(np.isnan(values).any())
        if odd or int(held.min(initial=rows)) < rows:
            inside = (place >= before)[:, among] & ~is_missing(values)
        else:
            inside = np.ones(values.shape, np.bool_)
        return Samples(cadence.times[slots, groups], among, values, inside, odd)

    def _check(self) -> None:
        self._storage.settle()
        if self._layout != self._storage.layout:
            raise StaleSelection(f"the series of {self.name} have moved: select again")
