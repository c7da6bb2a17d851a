"""The wall clock beside the monotonic one: what a step of it would do to times that are kept, undone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric("fleetowl_agent_clock_steps_total", "counter", "Steps of the node's wall clock.", ("node",)),
)

STEP = 1.0
"""Seconds: less is the clock's drift, which is slewed away."""

_CLOSE = 0.25  # seconds: a time that is right so far need not change


class WallClock:
    """Turns monotonic seconds into seconds since the epoch. Call `look` now and then."""

    def __init__(
        self, clock: Callable[[], float] = time.time, timer: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock, self._timer = clock, timer
        self._offset = self._seen = clock() - timer()
        self.steps = 0

    def look(self) -> None:
        """Notice a step since the last look, and say it."""
        offset = self._clock() - self._timer()
        step, self._seen = offset - self._seen, offset
        if abs(offset - self._offset) >= _CLOSE:
            self._offset = offset
        if abs(step) >= STEP:
            self.steps += 1
            log.warning("the wall clock stepped by %+.1f s; ages of what has happened stay right", step)

    def at(self, moment: float) -> float:
        """Seconds since the epoch of a monotonic moment, on the clock as it is now."""
        return moment + self._offset

    def moment(self, at: float) -> float:
        """The monotonic moment of a time in seconds since the epoch."""
        return at - self._offset

    def samples(self, node: str) -> Iterator[Sample]:
        """How often it stepped."""
        yield Sample("fleetowl_agent_clock_steps_total", Labels({"node": node}), float(self.steps))
