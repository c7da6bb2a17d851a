"""Which incidents are to be looked at: those that have changed, and those whose moment has come."""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class Agenda:
    """Names with at most one moment (ms) each. A look costs what is due, however many wait."""

    def __init__(self) -> None:
        self._at: dict[str, int] = {}
        self._due: list[tuple[int, str]] = []
        self._changed: set[str] = set()

    def changed(self, names: Iterable[str]) -> None:
        """Look at these with the next `take`."""
        self._changed.update(names)

    def put(self, name: str, at: int | None) -> None:
        """Look at it at a moment, in place of the one that was set; None is never."""
        if at is None:
            self._at.pop(name, None)
        elif self._at.get(name) != at:
            self._at[name] = at
            heapq.heappush(self._due, (at, name))

    def take(self, now: int) -> set[str]:
        """What is to be looked at now; it is not on the agenda any more."""
        found, self._changed = self._changed, set()
        while self._due and self._due[0][0] <= now:
            at, name = heapq.heappop(self._due)
            if self._at.get(name) == at:
                found.add(name)
                del self._at[name]
        return found

    def next_at(self) -> int | None:
        """The next moment; None if there is none."""
        while self._due and self._at.get(self._due[0][1]) != self._due[0][0]:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None
