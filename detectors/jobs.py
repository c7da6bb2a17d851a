"""Work of detectors that is too long for a tick: fits of models, run beside it and taken over later.

Without an executor a job runs at once, at the moment that asked for it, so that in virtual time the scores
depend on the samples alone. With one it runs in a thread; its result is taken over at a later tick. One that
does not end in DEADLINE is left alone in its thread and counts as failed; the next goes on in a new thread.
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

DEADLINE = 600.0
"""Seconds; the longest fit that was measured took 20."""
MOST_HUNG = 4
"""With so many threads that do not come back nothing is fitted any more, until one does."""

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
class _Task:
    detector: str
    job: Job
    future: Future[tuple[Any, float]] = field(default_factory=Future)
    began: float | None = None  # by the timer, when its thread came to it


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
        self._threads: Callable[[], Executor] | None = None
        self._executor: Executor | None = None  # with one thread: what hangs is the first of `_out`
        self._timer: Callable[[], float] = lambda: 0.0
        self._counts: dict[str, _Count] = {}
        self._out: list[_Task] = []
        self._hung: list[_Task] = []
        self._closed = False

    def beside(self, threads: Callable[[], Executor], timer: Callable[[], float]) -> None:
        """From now on run them there: `threads` makes executors of one thread. `timer` gives seconds."""
        self._threads, self._timer = threads, timer

    def close(self) -> None:
        """Begin nothing more, and wait for nothing."""
        self._closed = True
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def take(self, detector: str, jobs: Iterable[Job]) -> None:
        """Run these now, or have them run."""
        for job in () if self._closed else jobs:
            count = self._counts.setdefault(detector, _Count())
            if self._threads is None:
                task = _Task(detector, job)
                self._end(count, job, partial(self._timed, task))
            else:
                self._submit(_Task(detector, job))

    def collect(self) -> None:
        """Take over the answers that have come, in the order in which they were asked for."""
        self._hung = [task for task in self._hung if not task.future.done()]
        while self._out and self._out[0].future.done():
            task = self._out.pop(0)
            self._counts[task.detector].running -= 1
            self._end(self._counts[task.detector], task.job, task.future.result)
        began = self._out[0].began if self._out else None
        if began is not None and self._timer() - began > DEADLINE:
            self._leave(self._out.pop(0))

    def _submit(self, task: _Task) -> None:
        """Have it run, unless threads hang already: all that there may be, or one of the same name."""
        if len(self._hung) >= MOST_HUNG or any(self._alike(task, hung) for hung in self._hung):
            self._fail(task, f"a fit before has hung for more than {DEADLINE:g} s and still does")
            return
        if self._executor is None:
            assert self._threads is not None  # else it would have run at once
            self._executor = self._threads()
        self._counts[task.detector].running += 1
        task.future = self._executor.submit(self._timed, task)
        self._out.append(task)

    @staticmethod
    def _alike(one: _Task, other: _Task) -> bool:
        return (one.detector, one.job.name) == (other.detector, other.job.name)

    def _leave(self, hung: _Task) -> None:
        """Let this one hang in its thread; those that wait behind it go on in another."""
        self._hung.append(hung)
        self._counts[hung.detector].running -= 1
        executor, self._executor = self._executor, None
        waiting, self._out = self._out, []
        for task in waiting:
            if task.future.cancel():
                self._counts[task.detector].running -= 1
                self._submit(task)
            else:  # it has come back at this very moment, and has begun the next one
                self._out.append(task)
        if executor is not None:
            executor.shutdown(wait=False)
        self._fail(hung, f"it took more than {DEADLINE:g} s and was left alone")

    def _timed(self, task: _Task) -> tuple[Any, float]:
        task.began = began = self._timer()
        answer = task.job.work()
        return answer, self._timer() - began

    def _end(self, count: _Count, job: Job, answered: Callable[[], tuple[Any, float]]) -> None:
        try:
            answer, seconds = answered()
            job.done(answer)
        except (Exception, CancelledError) as error:  # a model that cannot be fitted must not end the scores
            self._failed(count, job, f"{type(error).__name__}: {error}")
            return
        count.fits += 1
        count.seconds += seconds
        if count.failing.pop(job.name, None) is not None:
            log.info("the models of %s were fitted again", job.name)

    def _fail(self, task: _Task, message: str) -> None:
        self._failed(self._counts[task.detector], task.job, message)

    @staticmethod
    def _failed(count: _Count, job: Job, message: str) -> None:
        count.failures += 1
        if count.failing.get(job.name) != message:
            count.failing[job.name] = message
            log.warning("the models of %s were not fitted, those before stay: %s", job.name, message)
        job.failed()

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        for detector, count in self._counts.items():
            label = {"detector": detector}
            yield Sample("fleetowl_detector_fits_total", label, count.fits)
            yield Sample("fleetowl_detector_fit_failures_total", label, count.failures)
            yield Sample("fleetowl_detector_fit_seconds_total", label, count.seconds)
            yield Sample("fleetowl_detector_fits_running", label, count.running)
