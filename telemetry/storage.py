"""Where each sample lies: series in slabs, slabs in the arena, times in cadences.

A slab is the recent history of one metric name at one cadence: `value[slots, capacity]`, a column for each
series. A series knows its place as two numbers, so that any set of samples is one gather or one scatter:
position = base[id] + slot * stride[id].
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from telemetry.arena import Arena, Budget
from telemetry.bits import MISSING_NAN, Flags, Floats, Ints, is_missing
from telemetry.cadence import NEVER, Cadence

NOBODY = -1
_COLUMNS = 4  # the smallest slab


class Slab:
    """One metric name at one cadence; `ids` are the series of its columns, `used` of them."""

    def __init__(self, name: str, cadence: int, slots: int) -> None:
        self.name = name
        self.cadence = cadence
        self.slots = slots
        self.start = 0
        self.capacity = 0
        self.used = 0
        self.ids: Ints = np.empty(0, np.int64)

    def columns(self, arena: Arena) -> Floats:
        """The samples, `[slots, capacity]`: a view, valid until the arena grows."""
        end = self.start + self.slots * self.capacity
        return arena.values[self.start : end].reshape(self.slots, self.capacity)


class SeriesTable:
    """What is known of each series, by dense id: arrays of one length, of which `size` are in use."""

    ARRAYS = ("base", "stride", "slab", "column", "cadence", "group", "owner", "last_time", "last_value")

    def __init__(self) -> None:
        self.size = 0
        self.base: Ints = np.empty(0, np.int64)
        self.stride: Ints = np.empty(0, np.int64)
        self.slab: Ints = np.empty(0, np.int64)
        self.column: Ints = np.empty(0, np.int64)
        self.cadence: Ints = np.empty(0, np.int64)
        self.group: Ints = np.empty(0, np.int64)
        self.owner: Ints = np.empty(0, np.int64)  # index of its target, NOBODY once it is dropped
        self.last_time: Ints = np.empty(0, np.int64)
        self.last_value: Floats = np.empty(0)

    def add(self, owner: int) -> int:
        """A new id, not yet placed."""
        if self.size == len(self.base):
            self._reserve(max(1024, 2 * self.size))
        sid = self.size
        self.size += 1
        self.owner[sid] = owner
        self.last_time[sid] = NEVER
        self.last_value[sid] = MISSING_NAN
        return sid

    def take(self, ids: Ints) -> None:
        """Keep only these series, renumbered 0, 1, ... in the order given."""
        for name in self.ARRAYS:
            setattr(self, name, getattr(self, name)[ids])
        self.size = len(ids)

    def _reserve(self, capacity: int) -> None:
        for name in self.ARRAYS:
            old = getattr(self, name)
            array = np.full(capacity, NOBODY, old.dtype)
            array[: self.size] = old[: self.size]
            setattr(self, name, array)


class Storage:
    """Slabs, cadences and the arena together: places, moves and removes series."""

    def __init__(self, memory: int) -> None:
        self.budget = Budget(memory)
        self.arena = Arena(self.budget)
        self.series = SeriesTable()
        self.cadences: list[Cadence] = []
        self.own: Flags = np.empty(0, np.bool_)  # by cadence: each group is a single series
        self.slabs: list[Slab] = []
        self._cadence_of: dict[tuple[int, int, bool], int] = {}
        self._slab_of: dict[tuple[str, int], int] = {}
        self.layout = 0  # changes when a series that may have been selected gets another place
        self._dirty = False

    def cadence(self, interval: int, slots: int, own: bool) -> int:
        """The index of the cadence of this interval and number of slots; get or make."""
        key = (interval, slots, own)
        if key not in self._cadence_of:
            self._cadence_of[key] = len(self.cadences)
            self.cadences.append(Cadence(interval, slots, own, self.budget))
            self.own = np.append(self.own, own)
        return self._cadence_of[key]

    def add(self, name: str, cadence: int, group: int, owner: int) -> int:
        """A new series in its column; returns its id. Raises BudgetExceeded."""
        slab = self._slab(name, cadence)
        self._reserve(slab, 1)
        sid = self.series.add(owner)
        column, slab.used = slab.used, slab.used + 1
        slab.ids[column] = sid
        table = self.series
        table.slab[sid], table.column[sid] = self._slab_of[name, cadence], column
        table.base[sid], table.stride[sid] = slab.start + column, slab.capacity
        table.cadence[sid], table.group[sid] = cadence, group
        return sid

    def positions(self, ids: Ints, slots: Ints | int) -> Ints:
        """Where the samples of these series in these slots lie; the shape is that of `slots` by ids."""
        positions: Ints = self.series.base[ids] + slots * self.series.stride[ids]
        return positions

    def write(self, ids: Ints, slots: Ints | int, values: Floats | float) -> None:
        """One scatter."""
        self.arena.values[self.positions(ids, slots)] = values

    def read(self, ids: Ints, slots: Ints | int) -> Floats:
        """One gather."""
        return self.arena.values[self.positions(ids, slots)]

    def note_dirty(self) -> None:
        """Some group has taken a late sample."""
        self._dirty = True

    def settle(self) -> None:
        """Bring late samples into the order of time."""
        if not self._dirty:
            return
        self._dirty = False
        live = np.flatnonzero(self.series.owner[: self.series.size] != NOBODY)
        for index, cadence in enumerate(self.cadences):
            columns = np.flatnonzero(cadence.dirty)
            if len(columns):
                mine = live[self.series.cadence[live] == index]
                self._settle(cadence, columns, mine[cadence.dirty[self.series.group[mine]]])

    def _settle(self, cadence: Cadence, columns: Ints, ids: Ints) -> None:
        place = np.full(len(cadence.count), NOBODY)
        for part, source, destination in cadence.sort(columns):
            place[part] = np.arange(len(part))
            among = place[self.series.group[ids]]
            mine, among = ids[among != NOBODY], among[among != NOBODY]
            self.write(mine, destination[:, among], self.read(mine, source[:, among]))
            place[part] = NOBODY

    def move(self, ids: Ints, names: list[str], target: int, groups: Ints) -> None:
        """Move series of one cadence, with their history, to `groups` of the cadence `target`.

        The cadence must have slots for what they hold. Raises BudgetExceeded, with nothing moved.
        """
        self.settle()
        by_name: dict[str, list[int]] = defaultdict(list)
        for place, name in enumerate(names):
            by_name[name].append(place)
        slabs = {name: self._slab(name, target) for name in by_name}
        for name, places in by_name.items():
            self._reserve(slabs[name], len(places))
        kept, times, values = self._history(ids)
        if self.own[target]:
            kept &= ~is_missing(values)  # a column of its own needs no slots in which others had samples
        self._unseat(ids)
        for name, places in by_name.items():
            self._seat(slabs[name], ids[places])
        self.series.cadence[ids] = target
        self.series.group[ids] = groups
        self._refill(self.cadences[target], ids, kept, times, values)

    def _history(self, ids: Ints) -> tuple[Flags, Ints, Floats]:
        """What these series of one cadence hold, oldest first: `[K, series]` each."""
        cadence = self.cadences[self.series.cadence[ids[0]]]
        columns = self.series.group[ids]
        filled = cadence.filled(columns)
        rows = np.arange(int(filled.max()))[:, None]
        slots = (cadence.count[columns] - filled + rows) % cadence.slots
        return rows < filled, cadence.times[slots, columns], self.read(ids, slots)

    def _refill(self, cadence: Cadence, ids: Ints, kept: Flags, times: Ints, values: Floats) -> None:
        columns = self.series.group[ids]
        rows, series = np.nonzero(kept)
        slots = (np.cumsum(kept, axis=0) - 1)[rows, series]
        cadence.times[slots, columns[series]] = times[rows, series]
        self.arena.values[self.positions(ids[series], slots)] = values[rows, series]
        filled = kept.sum(axis=0)
        cadence.count[columns] = filled
        some = filled > 0
        last = np.maximum(filled - 1, 0)
        cadence.newest[columns[some]] = cadence.times[last, columns][some]
        cadence.newest_slot[columns] = last

    def remove(self, ids: Ints) -> None:
        """Take series out of their slabs; own time columns are freed."""
        self._unseat(ids)
        for index in np.unique(self.series.cadence[ids]):
            if self.cadences[index].own:
                mine = ids[self.series.cadence[ids] == index]
                self.cadences[index].remove(self.series.group[mine])
        self.series.owner[ids] = NOBODY

    def renumber(self, kept: Ints) -> Ints:
        """Give the series `kept` the ids 0, 1, ...; returns the new id of each old one, -1 = gone."""
        new = np.full(self.series.size, NOBODY, np.int64)
        new[kept] = np.arange(len(kept))
        self.series.take(kept)
        self.layout += 1
        for slab in self.slabs:
            slab.ids[: slab.used] = new[slab.ids[: slab.used]]
        return new

    def _slab(self, name: str, cadence: int) -> Slab:
        key = (name, cadence)
        if key not in self._slab_of:
            self._slab_of[key] = len(self.slabs)
            self.slabs.append(Slab(name, cadence, self.cadences[cadence].slots))
        return self.slabs[self._slab_of[key]]

    def restored(self) -> None:
        """Rebuild the look-ups and the account after slabs, cadences and arrays were filled in."""
        times = sum(cadence.times.nbytes for cadence in self.cadences)
        self.budget.used = self.arena.values.nbytes + times
        self.own = np.array([cadence.own for cadence in self.cadences], np.bool_)
        self._cadence_of = {(c.interval, c.slots, c.own): i for i, c in enumerate(self.cadences)}
        self._slab_of = {(slab.name, slab.cadence): i for i, slab in enumerate(self.slabs)}
        self._dirty = any(cadence.dirty.any() for cadence in self.cadences)
        for cadence in self.cadences:  # nobody has kept what came late: sort all of a dirty group
            cadence.late = np.full(len(cadence.count), NEVER)

    def _seat(self, slab: Slab, ids: Ints) -> None:
        self._reserve(slab, len(ids))
        columns = np.arange(slab.used, slab.used + len(ids))
        slab.ids[columns] = ids
        slab.used += len(ids)
        self.series.slab[ids] = self._slab_of[slab.name, slab.cadence]
        self.series.column[ids] = columns
        self.series.base[ids] = slab.start + columns
        self.series.stride[ids] = slab.capacity

    def _unseat(self, ids: Ints) -> None:
        order = np.argsort(self.series.slab[ids], kind="stable")
        ids = ids[order]
        cuts = np.flatnonzero(np.diff(self.series.slab[ids])) + 1
        for part in np.split(ids, cuts):
            self._unseat_from(self.slabs[self.series.slab[part[0]]], self.series.column[part])

    def _unseat_from(self, slab: Slab, columns: Ints) -> None:
        """Free these columns; the last ones move into the holes."""
        left = slab.used - len(columns)
        if left == 0:
            self.arena.release(slab.start, slab.slots * slab.capacity)
            self.layout += 1
            slab.used = slab.capacity = 0
            slab.ids = np.empty(0, np.int64)
            return
        gone = np.zeros(slab.used, np.bool_)
        gone[columns] = True
        holes, movers = np.flatnonzero(gone[:left]), left + np.flatnonzero(~gone[left:])
        view = slab.columns(self.arena)
        self.layout += 1
        view[:, holes] = view[:, movers]
        view[:, left : slab.used] = MISSING_NAN
        ids = slab.ids[movers]
        slab.ids[holes] = ids
        self.series.column[ids] = holes
        self.series.base[ids] = slab.start + holes
        slab.used = left

    def _reserve(self, slab: Slab, more: int) -> None:
        """Make room for `more` columns. Raises BudgetExceeded."""
        needed = slab.used + more
        if needed <= slab.capacity:
            return
        capacity = max(needed, slab.capacity + slab.capacity // 2, _COLUMNS)
        start = self.arena.allocate(slab.slots * capacity)
        old = slab.columns(self.arena)[:, : slab.used].copy()
        if slab.capacity:
            self.arena.release(slab.start, slab.slots * slab.capacity)
        self.layout += 1
        slab.start, slab.capacity = start, capacity
        slab.columns(self.arena)[:, : slab.used] = old
        ids = np.full(capacity, NOBODY, np.int64)
        ids[: slab.used] = slab.ids[: slab.used]
        slab.ids = ids
        self.series.base[ids[: slab.used]] = start + np.arange(slab.used)
        self.series.stride[ids[: slab.used]] = capacity
