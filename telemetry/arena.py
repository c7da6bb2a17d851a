"""One flat array for all samples, cut into blocks, under one memory budget.

A scrape touches hundreds of slabs; because they all lie in one array, it is written with one scatter.
"""

from __future__ import annotations

import bisect

import numpy as np

from telemetry.bits import MISSING_NAN, Floats

CELL = 8  # bytes of a sample
_SMALLEST = 1 << 14  # cells of the first growth


class BudgetExceeded(Exception):
    """The memory budget does not allow what was asked for; nothing was changed."""


class Budget:
    """Bytes that may be used, and that are."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0

    def take(self, size: int) -> None:
        """Book `size` bytes. Raises BudgetExceeded if they are not there."""
        if self.used + size > self.limit:
            raise BudgetExceeded(f"{self.used + size} bytes wanted, the limit is {self.limit}")
        self.used += size

    def give(self, size: int) -> None:
        """Hand `size` bytes back."""
        self.used -= size


class Arena:
    """Blocks of float64 cells in one array. Hold no view of `values`: it moves when it grows."""

    def __init__(self, budget: Budget) -> None:
        self.values: Floats = np.empty(0)
        self.free: list[tuple[int, int]] = []  # (start, size), by start, never adjacent
        self._budget = budget

    def allocate(self, size: int) -> int:
        """The start of a block of `size` cells, all missing. Raises BudgetExceeded."""
        for place, (start, room) in enumerate(self.free):
            if room >= size:
                self.free[place : place + 1] = [(start + size, room - size)] if room > size else []
                self.values[start : start + size] = MISSING_NAN
                return start
        self._grow(size)
        return self.allocate(size)

    def release(self, start: int, size: int) -> None:
        """Take a block back, and join it with free neighbours."""
        place = bisect.bisect(self.free, (start, size))
        self.free.insert(place, (start, size))
        for left in (place, place - 1):
            if 0 <= left < len(self.free) - 1:
                (a, a_size), (b, b_size) = self.free[left : left + 2]
                if a + a_size == b:
                    self.free[left : left + 2] = [(a, a_size + b_size)]

    def _grow(self, size: int) -> None:
        tail = self.free[-1][1] if self.free and sum(self.free[-1]) == len(self.values) else 0
        needed = size - tail
        generous = max(needed, len(self.values) // 4, _SMALLEST)
        try:
            self._budget.take(generous * CELL)
        except BudgetExceeded:
            generous = needed
            self._budget.take(generous * CELL)
        end = len(self.values)
        # realloc: for large arrays the kernel moves pages instead of copying them.
        self.values.resize(end + generous, refcheck=False)
        self.release(end, generous)
