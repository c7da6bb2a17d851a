"""The wall clock beside the monotonic one: a time that is kept moves along when the wall clock is set.

agent.clock tells that it was.
"""

from __future__ import annotations

import time
from collections.abc import Callable

_CLOSE = 0.25  # seconds: a time that is right so far need not change


class WallClock:
    """Turns monotonic seconds into seconds since the epoch. Call `look` now and then."""

    def __init__(
        self, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._timer = clock, timer
        self._offset = clock() - timer()

    def look(self) -> None:
        """Take over where the wall clock stands now."""
        offset = self._clock() - self._timer()
        if abs(offset - self._offset) >= _CLOSE:
            self._offset = offset

    def at(self, moment: float) -> float:
        """Seconds since the epoch of a monotonic moment, on the clock as it is now."""
        return moment + self._offset

    def moment(self, at: float) -> float:
        """The monotonic moment of a time in seconds since the epoch."""
        return at - self._offset
