"""When to collect: at multiples of the interval, without drift, and never twice to catch up."""

from __future__ import annotations


class Schedule:
    """Ticks at whole multiples of `interval` (ms) of the wall clock, counted on the monotonic one.

    `wall` is ms since the epoch, `monotonic` seconds. A step of the wall clock moves no tick; a tick that
    takes too long costs the ones that it overran, which are counted in `missed`.
    """

    def __init__(self, interval: int, wall: float, monotonic: float) -> None:
        self._interval = interval / 1000
        self._origin = monotonic + (interval - wall % interval) / 1000
        self._tick = 0
        self.missed = 0

    def wait(self, monotonic: float) -> float:
        """Seconds until the next tick, 0 if it is due."""
        return max(0.0, self._origin + self._tick * self._interval - monotonic)

    def begin(self, monotonic: float) -> None:
        """The tick that is due begins: the next one is the first that lies ahead."""
        due = max(self._tick, int((monotonic - self._origin) / self._interval))
        self.missed += due - self._tick
        self._tick = due + 1
