"""One tick: the steps in their order, each timed, each unable to take the others down."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.analyzer")

METRICS = (
    Metric("fleetowl_ticks_total", "counter", "Ticks run since the start."),
    Metric("fleetowl_ticks_late_total", "counter", "Ticks that took longer than the interval between ticks."),
    Metric("fleetowl_tick_step_seconds", "gauge", "Seconds that a step took in the last tick.", ("step",)),
    Metric("fleetowl_tick_step_failures_total", "counter", "Steps that ended in an error.", ("step",)),
)


@dataclass
class Step:
    """One room's part of the tick and how it went. `run` takes the moment of the tick in ms."""

    name: str
    run: Callable[[int], None]
    seconds: float = 0.0
    failures: int = 0
    failing: str = ""


class Tick:
    """Runs its steps once each time it is told the moment. `interval` is in ms."""

    def __init__(self, steps: Sequence[Step], interval: int) -> None:
        self._steps = tuple(steps)
        self._interval = interval
        self.count = 0
        self.late = 0

    def run(self, now: int) -> None:
        """Run every step for the moment `now` (ms)."""
        began = time.perf_counter()
        for step in self._steps:
            self._run_step(step, now)
        self.count += 1
        if (time.perf_counter() - began) * 1000 > self._interval:
            self.late += 1

    def _run_step(self, step: Step, now: int) -> None:
        began = time.perf_counter()
        try:
            step.run(now)
        except Exception as error:  # the supervisor's boundary: one room's bug must not silence the rest
            step.failures += 1
            message = f"{type(error).__name__}: {error}"
            if message != step.failing:
                log.exception("the step %s of the tick failed; the others go on", step.name)
            step.failing = message
        else:
            step.failing = ""
        step.seconds = time.perf_counter() - began

    def samples(self) -> Iterator[Sample]:
        """How the ticks went."""
        yield Sample("fleetowl_ticks_total", {}, self.count)
        yield Sample("fleetowl_ticks_late_total", {}, self.late)
        for step in self._steps:
            yield Sample("fleetowl_tick_step_seconds", {"step": step.name}, step.seconds)
            yield Sample("fleetowl_tick_step_failures_total", {"step": step.name}, step.failures)
