"""Which sequence numbers have come, in little memory: intervals, not numbers."""

from __future__ import annotations

from bisect import bisect_right


class SeenSet:
    """A set of integers that come mostly in order.

    It holds at most `most` intervals; then the lowest is forgotten, so that its numbers count as new again.

    >>> seen = SeenSet()
    >>> [seen.add(number) for number in (1, 2, 5, 2, 3)]
    [True, True, True, False, True]
    """

    def __init__(self, most: int = 256) -> None:
        self._most = most
        self._starts: list[int] = []
        self._ends: list[int] = []  # inclusive

    def __len__(self) -> int:
        return len(self._starts)

    def __contains__(self, number: int) -> bool:
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number <= self._ends[place]

    @property
    def highest(self) -> int:
        """The largest number so far, -1 if there is none."""
        return self._ends[-1] if self._ends else -1

    def add(self, number: int) -> bool:
        """Add it; whether it is new."""
        place = bisect_right(self._starts, number)  # the interval after it
        if place and number <= self._ends[place - 1]:
            return False
        joins_left = place > 0 and self._ends[place - 1] == number - 1
        joins_right = place < len(self._starts) and self._starts[place] == number + 1
        if joins_left and joins_right:
            self._ends[place - 1] = self._ends.pop(place)
            del self._starts[place]
        elif joins_left:
            self._ends[place - 1] = number
        elif joins_right:
            self._starts[place] = number
        else:
            self._starts.insert(place, number)
            self._ends.insert(place, number)
            if len(self._starts) > self._most:
                del self._starts[0], self._ends[0]
        return True
