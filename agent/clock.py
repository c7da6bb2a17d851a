"""Notices when the wall clock is set: time then jumps for all that is judged by it, here and beyond."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from agent.host import labelled
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric(
        "fleetowl_agent_clock_steps_total",
        "counter",
        "Times that the wall clock was set, or stood still for the agent: a suspended machine counts too.",
    ),
    Metric(
        "fleetowl_agent_clock_step_seconds",
        "gauge",
        "By how much the wall clock was set the last time, negative if back; 0 if it never was.",
    ),
)

SMALLEST = 0.25
"""Seconds. systemd-timesyncd slews what is below 0.4 s (NTP_MAX_ADJUST) and sets the rest, chrony's usual
`makestep` is 1 s; slewing moves both clocks alike."""


class ClockWatch:
    """Compares the wall clock with the monotonic one, both in seconds, whenever it is asked to."""

    def __init__(self, wall: Callable[[], float], monotonic: Callable[[], float]) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._offset = self._measured()
        self.steps = 0
        self.last = 0.0

    def look(self) -> float:
        """By how many seconds the wall clock was set since the look before, 0 if it was not."""
        offset = self._measured()
        step, self._offset = offset - self._offset, offset
        if abs(step) < SMALLEST:
            return 0.0
        self.steps += 1
        self.last = step
        log.warning(
            "the wall clock was set %s by %.2f s; samples have its time from here on",
            "forward" if step > 0 else "back",
            abs(step),
        )
        return step

    def samples(self) -> Iterator[Sample]:
        """What METRICS declares."""
        yield Sample("fleetowl_agent_clock_steps_total", labelled(), float(self.steps))
        yield Sample("fleetowl_agent_clock_step_seconds", labelled(), self.last)

    def _measured(self) -> float:
        """Wall minus monotonic. The shortest of three readings: one may be torn apart by another process."""
        found = []
        for _ in range(3):
            before, wall, after = self._monotonic(), self._wall(), self._monotonic()
            found.append((after - before, wall - (before + after) / 2))
        return min(found)[1]
