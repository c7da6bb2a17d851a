"""When samples were taken: one time column for all series of a scrape, in a ring of slots.

A group is what shares its times: a target, or a single series whose sender gives each its own time.
A cadence holds the groups of one interval and one number of slots as `times[slots, groups]`.
Arrival n of a group lies in slot n % slots. A late sample is put there too, and makes the group dirty
until it is sorted; in a sorted group the ring order is the order of time.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from telemetry.arena import CELL, Budget
from telemetry.bits import Flags, Ints

NEVER = -(1 << 62)  # the time of an empty slot


class Cadence:
    """Time rings: arrays by group column. `own` says that each group is a single series."""

    def __init__(self, interval: int, slots: int, own: bool, budget: Budget) -> None:
        self.interval = interval
        self.slots = slots
        self.own = own
        self.times: Ints = np.empty((slots, 0), np.int64)
        self.count: Ints = np.empty(0, np.int64)  # arrivals
        self.newest: Ints = np.empty(0, np.int64)  # the largest time
        self.newest_slot: Ints = np.empty(0, np.int64)
        self.dirty: Flags = np.empty(0, np.bool_)
        self.late: Ints = np.empty(0, np.int64)  # the smallest time that came late; of dirty groups
        self.free: list[int] = []
        self._budget = budget

    def add(self, groups: int) -> Ints:
        """Columns of new, empty groups. Raises BudgetExceeded."""
        if len(self.free) < groups:
            self._grow(max(groups - len(self.free), len(self.count) // 2, 1))
        columns = np.array([self.free.pop() for _ in range(groups)], np.int64)
        self.times[:, columns] = NEVER
        self.count[columns] = 0
        self.newest[columns] = NEVER
        self.newest_slot[columns] = 0
        self.dirty[columns] = False
        return columns

    def remove(self, columns: Ints) -> None:
        """Free the columns of groups that are gone."""
        self.dirty[columns] = False
        self.free.extend(columns.tolist())

    def filled(self, columns: Ints) -> Ints:
        """How many slots hold a time."""
        return np.minimum(self.count[columns], self.slots)

    def slot(self, columns: Ints, place: Ints) -> Ints:
        """The slot of the sample number `place` of each sorted group; its oldest one is number 0."""
        slots: Ints = (self.count[columns] - self.filled(columns) + place) % self.slots
        return slots

    def oldest(self) -> int | None:
        """The oldest time of all (sorted) groups, None if there is none."""
        used = np.setdiff1d(np.flatnonzero(self.count), np.array(self.free, np.int64))
        if not len(used):
            return None
        return int(self.times[(self.count[used] - self.filled(used)) % self.slots, used].min())

    def rank(self, columns: Ints, at: int) -> Ints:
        """How many of the filled slots have a time <= `at`, of sorted groups (binary search)."""
        if len(columns) == 1:
            return np.array([self._rank_of_one(int(columns[0]), at)], np.int64)
        filled = self.filled(columns)
        if (self.newest[columns] <= at).all():
            return filled
        oldest = self.count[columns] - filled
        low, high = np.zeros_like(filled), filled.copy()
        for _ in range(int(filled.max(initial=0)).bit_length()):
            middle = (low + high) >> 1
            below = self.times[(oldest + middle) % self.slots, columns] <= at
            searching = low < high
            low = np.where(searching & below, middle + 1, low)
            high = np.where(searching & ~below, middle, high)
        return low

    def _rank_of_one(self, column: int, at: int) -> int:
        """The same for one group, where NumPy's calls would cost more than the search."""
        count = int(self.count[column])
        times = self.times[:, column]
        if count <= self.slots:
            return int(times[:count].searchsorted(at, "right"))
        split = count % self.slots
        older = int(times[split:].searchsorted(at, "right"))
        return older if older < self.slots - split else older + int(times[:split].searchsorted(at, "right"))

    def find(self, columns: Ints, times: Ints) -> Ints:
        """The slot of exactly this time in each group, -1 where there is none. Sorted or not."""
        newest = self.newest[columns] == times
        if newest.all():
            return self.newest_slot[columns]
        hits = self.times[:, columns] == times
        return np.where(hits.any(axis=0), hits.argmax(axis=0), -1)

    def open(self, columns: Ints, times: Ints) -> Ints:
        """Take the next slot of each (distinct) group for this time. The caller has made room."""
        slots = self.count[columns] % self.slots
        self.times[slots, columns] = times
        self.count[columns] += 1
        ahead = times > self.newest[columns]
        if ahead.all():
            self.newest[columns] = times
            self.newest_slot[columns] = slots
        else:
            self.newest[columns[ahead]] = times[ahead]
            self.newest_slot[columns[ahead]] = slots[ahead]
            late, since = columns[~ahead], times[~ahead]
            self.late[late] = np.where(self.dirty[late], np.minimum(self.late[late], since), since)
            self.dirty[late] = True
        return slots

    def full(self, columns: Ints, horizon: int) -> Flags:
        """Where the next arrival would overwrite a time later than `horizon`."""
        full: Flags = self.times[self.count[columns] % self.slots, columns] > horizon
        return full

    def sort(self, columns: Ints) -> Iterator[tuple[Ints, Ints, Ints]]:
        """Bring dirty groups into order, from the first late time on: what is older lies right.

        Yields (columns, source, destination), the slots `[rows, groups]`, by which the caller moves the
        values: a part of the groups at a time, such as have about as many rows to move.
        """
        displaced = (self.times[:, columns] >= self.late[columns]).sum(axis=0)
        sizes = np.ceil(np.log2(np.maximum(displaced, 1))).astype(np.int64)
        for size in np.unique(sizes).tolist():
            part = columns[sizes == size]
            yield part, *self._sort_last(part, int(displaced[sizes == size].max()))

    def _sort_last(self, columns: Ints, rows: int) -> tuple[Ints, Ints]:
        """Sort the last `rows` arrivals of each group; what is empty comes first."""
        destination = (self.count[columns] - rows + np.arange(rows)[:, None]) % self.slots
        times = self.times[destination, columns]
        order = np.argsort(times, axis=0, kind="stable")
        self.times[destination, columns] = np.take_along_axis(times, order, axis=0)
        self.newest_slot[columns] = (self.count[columns] - 1) % self.slots
        self.dirty[columns] = False
        return np.take_along_axis(destination, order, axis=0), destination

    def _grow(self, more: int) -> None:
        self._budget.take(more * self.slots * CELL)
        old = len(self.count)
        times = np.full((self.slots, old + more), NEVER, np.int64)
        times[:, :old] = self.times
        self.times = times
        self.count = np.concatenate([self.count, np.zeros(more, np.int64)])
        self.newest = np.concatenate([self.newest, np.full(more, NEVER, np.int64)])
        self.newest_slot = np.concatenate([self.newest_slot, np.zeros(more, np.int64)])
        self.dirty = np.concatenate([self.dirty, np.zeros(more, np.bool_)])
        self.late = np.concatenate([self.late, np.full(more, NEVER, np.int64)])
        self.free.extend(range(old + more - 1, old - 1, -1))
