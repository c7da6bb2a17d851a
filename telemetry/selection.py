"""What a selector has found in one slab, and the reads that rules make of it.

Prometheus 3's meaning: a range is left-open, `(start, end]`; an instant read takes the last sample in
`(at - lookback, at]` and finds nothing where that sample is the stale marker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.labels import Labels
from telemetry.bits import MISSING_NAN, Flags, Floats, Ints, is_missing, is_stale

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
        # The series of a target mostly stand side by side: what is known of groups is spread over runs.
        starts = np.flatnonzero(np.diff(self._among, prepend=-1))
        self._run_groups = self._among[starts]
        self._run_lengths = np.diff(starts, append=len(ids))

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
        self._check()
        cadence, groups = self._cadence, self._groups
        before, until = cadence.rank(groups, start), cadence.rank(groups, end)
        rows = int((until - before).max(initial=0))
        # Aligned at the end: the last row is each group's newest sample up to `end`.
        place = until + np.arange(-rows, 0)[:, None]
        slots = cadence.slot(groups, place)
        positions = self._spread(slots * self._stride)
        positions += self._base
        values = self._storage.arena.values.take(positions)
        inside = place >= before
        present = np.ones(values.shape, np.bool_) if inside.all() else self._spread(inside)
        odd = bool(np.isnan(values).any())
        if odd:
            present &= ~(is_missing(values) | is_stale(values))
        return Samples(cadence.times[slots, groups], self._among, values, present, odd)

    def _spread(self, of_groups: NDArray[Any]) -> NDArray[Any]:
        """From a column for each group to one for each series; always a copy."""
        of_runs = of_groups.take(self._run_groups, axis=1)
        return of_runs if len(self._run_groups) == len(self.ids) else np.repeat(of_runs, self._run_lengths, 1)

    def _last_before(self, columns: Ints, at: int, lookback: int) -> tuple[Floats, Ints]:
        """Of some series the values and times of the newest samples in `(at - lookback, at]`, stale ones too.

        Where there is none the time is `at - lookback`. Goes back sample by sample, for few have gaps.
        """
        values, times = np.full(len(columns), MISSING_NAN), np.full(len(columns), at - lookback)
        cadence, groups = self._cadence, self._groups
        before, place = cadence.rank(groups, at - lookback), cadence.rank(groups, at) - 1
        left, among = np.arange(len(columns)), self._among[columns]
        while True:
            within = (place >= before)[among]
            left, among = left[within], among[within]
            if not len(left):
                return values, times
            slots = cadence.slot(groups, place)
            found = self._storage.arena.values[self._base[columns[left]] + (slots * self._stride)[among]]
            there = ~is_missing(found)
            values[left[there]] = found[there]
            times[left[there]] = cadence.times[slots, groups][among[there]]
            left, among = left[~there], among[~there]
            place = place - 1

    def _check(self) -> None:
        self._storage.settle()
        if self._layout != self._storage.layout:
            raise StaleSelection(f"the series of {self.name} have moved: select again")
