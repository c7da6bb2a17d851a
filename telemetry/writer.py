"""How samples get in: refused or placed, in order or late, beside what is there already."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from telemetry.admission import Appended, Horizon, Refusal, distinct, rounds, scrub
from telemetry.arena import BudgetExceeded
from telemetry.bits import MISSING_NAN, STALE_NAN, Flags, Floats, Ints, is_missing, is_stale, same_bits
from telemetry.cadence import Cadence
from telemetry.journal import Journal
from telemetry.registry import Registry
from telemetry.storage import NOBODY
from telemetry.targets import Target


class Writer:
    """Appends to the storage. `journal` is None while nobody follows."""

    def __init__(self, registry: Registry, horizon: Horizon) -> None:
        self.journal: Journal | None = None
        self._registry = registry
        self._storage = registry.storage
        self._horizon = horizon

    def append(self, target: Target, time: int, ids: Ints, values: Floats) -> Appended:
        """Samples of one target that share one time."""
        result = Appended()
        # Copies: the journal keeps them, and the caller may go on using its own.
        ids, values = np.array(ids, np.int64), scrub(values)
        times = np.full(len(ids), time, np.int64)
        if len(target.apart) or not (self._owners(ids) == target.index).all():
            good = self._known(ids, result) & self._timely(times, result)
            together = good & (self._owners(ids) == target.index) & ~self._apart(ids, good)
            rest = good & ~together
            self._append_each(times[rest], ids[rest], values[rest], result)
            times, ids, values = times[together], ids[together], values[together]
        elif len(ids) and not self._timely(times[:1], result, len(ids))[0]:
            return result
        if distinct(ids):
            if len(ids):
                self._append_row(target, times, ids, values, result)
            return result
        for places in rounds(times, ids):
            self._append_row(target, times[places], ids[places], values[places], result)
        return result

    def append_each(self, times: Ints, ids: Ints, values: Floats) -> Appended:
        """Samples each with a time of its own, of any series."""
        result = Appended()
        times, ids, values = np.array(times, np.int64), np.array(ids, np.int64), scrub(values)
        good = self._known(ids, result)
        good[good] = self._timely(times[good], result)
        self._append_each(times[good], ids[good], values[good], result)
        return result

    def append_beside(self, times: Ints, ids: Ints, values: Floats) -> Appended:
        """As append_each, for what was computed from samples of these times: not in the journal."""
        journal, self.journal = self.journal, None
        try:
            return self.append_each(times, ids, values)
        finally:
            self.journal = journal

    def mark_stale(self, target: Target, time: int, ids: Ints | None) -> Appended:
        """The stale marker for these series, or all of the target, as far as they are not stale yet."""
        ids = target.ids if ids is None else np.array(ids, np.int64)
        last = self._storage.series.last_value[ids[self._known(ids, Appended())]]
        ids = ids[~is_stale(last) & ~is_missing(last)]
        return self.append(target, time, ids, np.full(len(ids), STALE_NAN))

    # What is let in.

    def _owners(self, ids: Ints) -> Ints:
        series = self._storage.series
        inside = (ids >= 0) & (ids < series.size)
        if inside.all():
            return series.owner[ids]
        owners = np.full(len(ids), NOBODY)
        owners[inside] = series.owner[ids[inside]]
        return owners

    def _known(self, ids: Ints, result: Appended) -> Flags:
        known: Flags = self._owners(ids) != NOBODY
        result.refuse(Refusal.UNKNOWN_SERIES, int((~known).sum()))
        return known

    def _apart(self, ids: Ints, known: Flags) -> Flags:
        apart = np.zeros(len(ids), np.bool_)
        apart[known] = self._registry.is_apart(ids[known])
        return apart

    def _timely(self, times: Ints, result: Appended, each: int = 1) -> Flags:
        """Which times the window takes; `each` is the number of samples that share one of these times."""
        horizon = self._horizon
        ahead = times > horizon.furthest
        horizon.latest = int(times.max(initial=horizon.latest, where=~ahead))
        old = times <= horizon.oldest
        refused: Flags = ahead | old
        if refused.any():
            result.refuse(Refusal.TOO_FAR_AHEAD, each * int(ahead.sum()))
            result.refuse(Refusal.TOO_OLD, each * int((old & ~ahead).sum()))
        return ~refused

    # Series that share the time of their target.

    def _append_row(self, target: Target, times: Ints, ids: Ints, values: Floats, result: Appended) -> None:
        """Distinct series of the target at one time: into the slot of that time, or a new one."""
        cadence = self._storage.cadences[target.cadence]
        time = times[:1]
        if time[0] <= cadence.newest[target.column]:
            slot = int(cadence.find(np.array([target.column]), time)[0])
            if slot >= 0:
                self._join(times, ids, np.full(len(ids), slot), values, result)
                return
        try:
            cadence = self._room_for_row(target)
        except BudgetExceeded:
            result.refuse(Refusal.MEMORY, len(ids))
            return
        slot = int(self._open(cadence, np.array([target.column]), time)[0])
        if len(ids) < len(target.together):
            self._storage.write(target.together.ids, slot, MISSING_NAN)
        self._store(times, ids, slot, values, result)

    def _room_for_row(self, target: Target) -> Cadence:
        """The target's cadence once its next slot holds nothing that is younger than the horizon."""
        while True:
            cadence = self._storage.cadences[target.cadence]
            if not cadence.full(np.array([target.column]), self._horizon.oldest)[0]:
                return cadence
            if cadence.dirty[target.column]:
                self._storage.settle()  # sorted, the next slot is the oldest: it may be free
            else:
                self._registry.lengthen(target)

    # Series with a time column of their own.

    def _append_each(self, times: Ints, ids: Ints, values: Floats, result: Appended) -> None:
        for places in rounds(times, ids):
            self._append_distinct(times[places], ids[places], values[places], result)

    def _append_distinct(self, times: Ints, ids: Ints, values: Floats, result: Appended) -> None:
        slots = self._find(ids, times)
        found = slots >= 0
        if found.any():
            self._join(times[found], ids[found], slots[found], values[found], result)
            times, ids, values = times[~found], ids[~found], values[~found]
        room = self._room_for_each(ids)
        result.refuse(Refusal.MEMORY, int((~room).sum()))
        times, ids, values = times[room], ids[room], values[room]
        for index, part in self._by_cadence(ids):
            columns = self._storage.series.group[ids[part]]
            opened = self._open(self._storage.cadences[index], columns, times[part])
            self._store(times[part], ids[part], opened, values[part], result)

    def _find(self, ids: Ints, times: Ints) -> Ints:
        """The slot in which a series' group has this time, -1 where there is none."""
        slots = np.full(len(ids), -1)
        old = np.ones(len(ids), np.bool_)
        apart = self._registry.is_apart(ids)
        # A series apart knows its newest time itself: most samples are newer, and need no search.
        old[apart] = times[apart] <= self._storage.series.last_time[ids[apart]]
        searched = np.flatnonzero(old)
        for index, part in self._by_cadence(ids[searched]):
            places = searched[part]
            columns = self._storage.series.group[ids[places]]
            slots[places] = self._storage.cadences[index].find(columns, times[places])
        return slots

    def _room_for_each(self, ids: Ints) -> Flags:
        """Which of these series have a slot to take, after those were moved that had none."""
        room = np.ones(len(ids), np.bool_)
        self._guarded(room, np.flatnonzero(~self._registry.is_apart(ids)), ids)
        while True:
            crowded = list(self._crowded(ids, room))
            if not crowded:
                return room
            if any(self._is_dirty(index, ids[part]) for index, part in crowded):
                self._storage.settle()  # sorted, the next slot is the oldest: it may be free
                continue
            for _, part in crowded:
                self._guarded(room, part, ids)

    def _is_dirty(self, cadence: int, ids: Ints) -> bool:
        return bool(self._storage.cadences[cadence].dirty[self._group(ids)].any())

    def _guarded(self, room: Flags, part: Ints, ids: Ints) -> None:
        """Move series apart, or to a longer ring if they are; without memory they get no room."""
        if not len(part):
            return
        try:
            if self._registry.is_apart(ids[part[:1]])[0]:
                self._registry.lengthen_apart(ids[part])
            else:
                self._registry.set_apart(ids[part])
        except BudgetExceeded:
            room[part] = False

    def _crowded(self, ids: Ints, room: Flags) -> Iterator[tuple[int, Ints]]:
        """Places of the series whose next slot holds a time that must stay, by cadence."""
        candidates = np.flatnonzero(room)
        for index, part in self._by_cadence(ids[candidates]):
            places = candidates[part]
            full = self._storage.cadences[index].full(self._group(ids[places]), self._horizon.oldest)
            if full.any():
                yield index, places[full]

    def _group(self, ids: Ints) -> Ints:
        return self._storage.series.group[ids]

    def _by_cadence(self, ids: Ints) -> Iterator[tuple[int, Ints]]:
        """(cadence, places in `ids`) for each cadence that occurs."""
        cadences = self._storage.series.cadence[ids]
        for index in np.unique(cadences).tolist():
            yield index, np.flatnonzero(cadences == index)

    # Both.

    def _open(self, cadence: Cadence, columns: Ints, times: Ints) -> Ints:
        slots = cadence.open(columns, times)
        if cadence.dirty[columns].any():
            self._storage.note_dirty()
        return slots

    def _join(self, times: Ints, ids: Ints, slots: Ints, values: Floats, result: Appended) -> None:
        """Into slots that are there already; where a sample is there too, the first one stays."""
        there = self._storage.read(ids, slots)
        empty = is_missing(there)
        same = ~empty & same_bits(there, values)
        result.accepted += int(same.sum())
        result.refuse(Refusal.DUPLICATE, int((~empty & ~same).sum()))
        self._store(times[empty], ids[empty], slots[empty], values[empty], result)

    def _store(self, times: Ints, ids: Ints, slots: Ints | int, values: Floats, result: Appended) -> None:
        self._storage.write(ids, slots, values)
        series = self._storage.series
        result.accepted += len(ids)
        ahead = times > series.last_time[ids]
        if not ahead.all():
            result.late += int((~ahead).sum())
            times, ids, values = times[ahead], ids[ahead], values[ahead]
        series.last_time[ids] = times
        series.last_value[ids] = values
        if self.journal is not None and len(ids):
            self.journal.record(times, ids, values)
