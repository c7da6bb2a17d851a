"""What happens by the clock alone: silence, the end of incidents, causes that have been over for long enough.

Heaps, so that a quiet tick looks at what is due and at nothing else. A deadline is a question, not an order:
whoever takes it out looks whether it still holds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import TypeVar

What = TypeVar("What", int, str)


class Deadlines:
    """Three heaps of (ms, what)."""

    def __init__(self) -> None:
        self._silences: list[tuple[int, int]] = []
        self._ends: list[tuple[int, str]] = []
        self._causes: list[tuple[int, int]] = []

    def clear(self) -> None:
        """Forget all of them."""
        self._silences.clear()
        self._ends.clear()
        self._causes.clear()

    def hear(self, at: int, fingerprint: int) -> None:
        """Unless it is heard of until then, the alert has ended."""
        heapq.heappush(self._silences, (at, fingerprint))

    def over(self, at: int, incident: str) -> None:
        """The incident may be over then."""
        heapq.heappush(self._ends, (at, incident))

    def released(self, at: int, fingerprint: int) -> None:
        """What this alert explains comes back then, if it is still over."""
        heapq.heappush(self._causes, (at, fingerprint))

    def silent(self, now: int) -> Iterator[int]:
        """The alerts that may have fallen silent."""
        return _due(self._silences, now)

    def ended(self, now: int) -> Iterator[str]:
        """The incidents that may be over."""
        return _due(self._ends, now)

    def releasing(self, now: int) -> Iterator[int]:
        """The causes that have been over for long enough."""
        return _due(self._causes, now)

    def next_at(self) -> int | None:
        """The first of them."""
        firsts = [heap[0][0] for heap in (self._silences, self._ends, self._causes) if heap]
        return min(firsts, default=None)


def _due(heap: list[tuple[int, What]], now: int) -> Iterator[What]:
    due = []
    while heap and heap[0][0] <= now:
        due.append(heapq.heappop(heap)[1])  # all at once: what is put back meanwhile waits for the next step
    return iter(due)
