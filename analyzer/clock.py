"""The only clock that the rooms below ever see: each tick reads it once and hands the moment down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from model.moment import MINUTE, SECOND, format_duration

log = logging.getLogger("fleetowl.analyzer")


class Clock:
    """Wall-clock milliseconds that never run backwards by a little.

    A small step back (NTP) would evaluate a moment twice, so the clock waits it out. A large one
    means that the clock was wrong before: it is followed at once, and said.
    """

    def __init__(self, wall: Callable[[], float] = time.time, largest_wait: int = MINUTE) -> None:
        self._wall = wall
        self._largest_wait = largest_wait
        self._last = 0

    def now(self) -> int:
        """Milliseconds since the epoch."""
        wall = round(self._wall() * SECOND)
        if wall < self._last:
            back = self._last - wall
            if back <= self._largest_wait:
                return self._last
            log.warning("the system clock was set back by %s; following it", format_duration(back))
        self._last = wall
        return wall
