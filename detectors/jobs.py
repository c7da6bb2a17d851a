"""Work of detectors that is too long for a tick: fits of models, run beside it and taken over later.

Without an executor a job runs at once, at the moment that asked for it, so that in virtual time the scores
depend on the samples alone. With one it runs in a thread; its result is taken over at a later tick.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Executor, Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.detectors")

METRICS = (
    Metric(
        "fleetowl_detector_fits_total",
        "counter",
        "Fits of models whose result was taken over.",
        ("detector",),
    ),
    Metric(
        "fleetowl_detector_fit_failures_total",
        "counter",
        "Fits of models that failed; the models before stay.",
        ("detector",),
    ),
    Metric(
        "fleetowl_detector_fit_seconds_total", "counter", "Seconds that fits of models took.", ("detector",)
    ),
    Metric("fleetowl_detector_fits_running", "gauge", "Fits of models that wait or run.", ("detector",)),
)


@dataclass(frozen=True, slots=True)
class Job:
    """`work` is a pure function of what it holds, for any thread; `done` takes its answer over, on the tick.

    After an error `failed` is called instead, on the tick too: the models before stay. `name` says to people
    whose models these are.
    """

    name: str
    work: Callable[[], Any]
    done: Callable[[Any], None]
    failed: Callable[[], None] = lambda: None


@dataclass(slots=True)
class _Count:
    fits: int = 0
    failures: int = 0
    seconds: float = 0.0
    running: int = 0
    failing: dict[str, str] = field(default_factory=dict)


class Jobs:
    """Runs jobs: in their order, each counted by the name of its detector."""

    def __init__(self) -> None:
        self._executor: Executor | None = None
        self._timer: Callable[[], float] = lambda: 0.0
        self._counts: dict[str, _Count] = {}
        self._out: list[tuple[str, Job, Future[tuple[Any, float]]]] = []

    def beside(self, executor: Executor, timer: Callable[[], float]) -> None:
        """From now on run them there. `timer` gives seconds, for the metrics."""
        self._executor, self._timer = executor, timer

    def take(self, detector: str, jobs: Iterable[Job]) -> None:
        """Run these now, or have them run."""
        for job in jobs:
            count = self._counts.setdefault(detector, _Count())
            if self._executor is None:
                self._end(count, job, partial(self._timed, job))
            else:
                count.running += 1
                self._out.append((detector, job, self._executor.submit(self._timed, job)))

    def collect(self) -> None:
        """Take over the answers that have come, in the order in which they were asked for."""
        while self._out and self._out[0][2].done():
            detector, job, future = self._out.pop(0)
            self._counts[detector].running -= 1
            self._end(self._counts[detector], job, future.result)

    def _timed(self, job: Job) -> tuple[Any, float]:
        began = self._timer()
        answer = job.work()
        return answer, self._timer() - began

    def _end(self, count: _Count, job: Job, answered: Callable[[], tuple[Any, float]]) -> None:
        try:
            answer, seconds = answered()
            job.done(answer)
        except (Exception, CancelledError) as error:  # a model that cannot be fitted must not end the scores
            count.failures += 1
            message = f"{type(error).__name__}: {error}"
            if count.failing.get(job.name) != message:
                count.failing[job.name] = message
                log.warning("the models of %s were not fitted, those before stay: %s", job.name, message)
            job.failed()
            return
        count.fits += 1
        count.seconds += seconds
        if count.failing.pop(job.name, None) is not None:
            log.info("the models of %s were fitted again", job.name)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        for detector, count in self._counts.items():
            label = {"detector": detector}
            yield Sample("fleetowl_detector_fits_total", label, count.fits)
            yield Sample("fleetowl_detector_fit_failures_total", label, count.failures)
            yield Sample("fleetowl_detector_fit_seconds_total", label, count.seconds)
            yield Sample("fleetowl_detector_fits_running", label, count.running)
