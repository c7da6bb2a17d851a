"""What is due later: moments and the calls that belong to them, in time order."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count


class Timeline:
    """A heap of things to do; those of equal time happen in the order they were planned."""

    def __init__(self) -> None:
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = count()

    def plan(self, at: int, action: Callable[[int], None]) -> None:
        """Call `action(at)` once time has come to `at` (ms)."""
        heapq.heappush(self._due, (at, next(self._order), action))

    def run(self, now: int) -> None:
        """Do all that is due by `now`, and what that in turn makes due by `now`."""
        while self._due and self._due[0][0] <= now:
            at, _, action = heapq.heappop(self._due)
            action(at)
