"""Whether memory leaks, and how fast: growth that does not stop and is not given back.

Half an hour is kept in 60 points, each the least of its 30 seconds, and cut into six sections. What counts is
the floor of each section, its least point: what a process takes and gives back again does not raise it. It is
a leak if every floor is above the one before, and the last section's highest point too, by a fair share of
the mean step; and if all together is more than noise and more than 16 MiB. The rate is the median slope
between the floors (Theil and Sen), which one odd section does not bend.

When it fails:
- A process in its first 20 minutes has no rate, and a leak that begins later in its life is seen half an hour
  after it began.
- Memory that grows in steps more than five minutes apart (an allocator that takes gigabytes at a time) is not
  seen, nor are less than 16 MiB in half an hour, nor a leak that in half an hour is smaller than what the
  process takes and gives back within five minutes.
- A cache that fills steadily for more than a quarter of an hour looks like a leak until it is full; so do
  weights that take longer than that to load, and the rise of a wave whose period is more than half an hour.
  A random walk looks like a leak in 2 of 100 half hours.
"""

from __future__ import annotations

from collections import deque
from itertools import combinations, pairwise
from statistics import median

WINDOW = 1800.0
"""Seconds that are looked at."""
SHORTEST = 1200.0
"""Seconds of life before which nothing is said."""
LEAST = 16 << 20
"""Bytes of growth over the window that are worth a word."""

_POINTS = 60
_BUCKET = WINDOW / _POINTS
_SECTIONS = 6
_FAIR = 0.2  # of the mean step, which the smallest must reach
_NOISE = 1.0  # of the usual spread within a section, which the growth must exceed

_Point = tuple[float, float]


class Trend:
    """The memory of one process, of bounded size: 60 points. Times in seconds, never backwards."""

    __slots__ = ("_points", "_rate")

    def __init__(self) -> None:
        self._points: deque[_Point] = deque(maxlen=_POINTS)
        self._rate: float | None = None

    def add(self, at: float, value: float) -> None:
        """Note a value. A point holds the least value of its 30 seconds."""
        points = self._points
        if points and at // _BUCKET == points[-1][0] // _BUCKET:
            if value < points[-1][1]:
                points[-1] = (at, value)
            return
        while points and at - points[0][0] > WINDOW:
            points.popleft()
        # Before the new point, which may have only the first of its values yet.
        self._rate = rate(points)
        points.append((at, value))

    @property
    def rate(self) -> float | None:
        """Bytes per second that leak, 0 if none do, None while it is too early to say."""
        return self._rate


def rate(points: deque[_Point] | list[_Point]) -> float | None:
    """As Trend.rate, of points in time order.

    >>> rate([(t, 1e6 * t) for t in range(0, 1800, 30)])
    1000000.0
    >>> rate([(t, min(1e6 * t, 1e8)) for t in range(0, 1800, 30)])
    0.0
    """
    if not points or points[-1][0] - points[0][0] < SHORTEST:
        return None
    sections = _cut(points)
    if not all(sections):
        return 0.0  # a gap in what was seen: nothing is proven
    floors = [min(section, key=lambda point: point[1]) for section in sections]
    steps = [after[1] - before[1] for before, after in pairwise(floors)]
    growth = floors[-1][1] - floors[0][1]
    # Of a steady rise the spread within a section is a step: what is beyond that is noise.
    mean = growth / len(steps)
    # Of growth that has ended within the last but one section the floors still say that it goes on.
    last = _ceiling(sections[-1]) - _ceiling(sections[-2])
    spread = median(_spread(section) for section in sections) - mean
    if growth < LEAST or min(*steps, last) < _FAIR * mean or growth < _NOISE * spread:
        return 0.0
    return median((b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(floors, 2))


def _cut(points: deque[_Point] | list[_Point]) -> list[list[_Point]]:
    """The points in sections of equal duration."""
    begin, end = points[0][0], points[-1][0]
    sections: list[list[_Point]] = [[] for _ in range(_SECTIONS)]
    for point in points:
        place = int((point[0] - begin) / (end - begin) * _SECTIONS)
        sections[min(place, _SECTIONS - 1)].append(point)
    return sections


def _ceiling(section: list[_Point]) -> float:
    return max(value for _, value in section)


def _spread(section: list[_Point]) -> float:
    return _ceiling(section) - min(value for _, value in section)
