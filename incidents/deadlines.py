"""What happens by the clock alone: silence, the end of incidents, causes that have been over for long enough.

Heaps, so that a quiet tick looks at what is due and at nothing else. A deadline is a question, not an order:
whoever takes it out looks whether it still holds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

What = TypeVar("What", int, str)


class _Calendar(Generic[What]):
    """What is due when (ms). Thousands of alerts of one step are due at one moment: that is one entry."""

    def __init__(self) -> None:
        self._moments: list[int] = []
        self._at: dict[int, list[What]] = {}

    def add(self, at: int, what: What) -> None:
        """It is due then, after all that is due then already."""
        there = self._at.get(at)
        if there is None:
            self._at[at] = [what]
            heapq.heappush(self._moments, at)
        else:
            there.append(what)

    def due(self, now: int) -> Iterator[What]:
        """Take out what is due, all at once: what is put back meanwhile waits for the next step."""
        due: list[What] = []
        while self._moments and self._moments[0] <= now:
            due += self._at.pop(heapq.heappop(self._moments))
        return iter(due)

    def first(self) -> int | None:
        """The first moment at which something is due."""
        return self._moments[0] if self._moments else None

    def clear(self) -> None:
        """Forget all of it."""
        self._moments.clear()
        self._at.clear()


class Deadlines:
    """Three calendars."""

    def __init__(self) -> None:
        self._silences = _Calendar[int]()
        self._ends = _Calendar[str]()
        self._causes = _Calendar[int]()

    def clear(self) -> None:
        """Forget all of them."""
        self._silences.clear()
        self._ends.clear()
        self._causes.clear()

    def hear(self, at: int, fingerprint: int) -> None:
        """Unless it is heard of until then, the alert has ended."""
        self._silences.add(at, fingerprint)

    def over(self, at: int, incident: str) -> None:
        """The incident may be over then."""
        self._ends.add(at, incident)

    def released(self, at: int, fingerprint: int) -> None:
        """What this alert explains comes back then, if it is still over."""
        self._causes.add(at, fingerprint)

    def silent(self, now: int) -> Iterator[int]:
        """The alerts that may have fallen silent."""
        return self._silences.due(now)

    def ended(self, now: int) -> Iterator[str]:
        """The incidents that may be over."""
        return self._ends.due(now)

    def releasing(self, now: int) -> Iterator[int]:
        """The causes that have been over for long enough."""
        return self._causes.due(now)

    def next_at(self) -> int | None:
        """The first of them."""
        firsts = [calendar.first() for calendar in (self._silences, self._ends, self._causes)]
        return min([at for at in firsts if at is not None], default=None)
