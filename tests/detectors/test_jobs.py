"""Work beside the tick: run at once in virtual time, taken over in order otherwise; an error is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from operator import truediv
from typing import Any

import pytest

from detectors.jobs import DEADLINE, METRICS, MOST_HUNG, Job, Jobs


class Later(Executor):
    """Runs what it was given when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, fn, args))
        return future

    def run(self, place: int) -> None:
        future, fn, args = self.waiting.pop(place)
        try:
            future.set_result(fn(*args))
        except ArithmeticError as error:
            future.set_exception(error)


def counts(jobs: Jobs) -> dict[str, float]:
    return {sample.name.removeprefix("fleetowl_detector_"): sample.value for sample in jobs.samples()}


def test_without_an_executor_a_job_is_done_when_it_is_taken() -> None:
    jobs, told = Jobs(), list[int]()
    jobs.take("state", [Job("pool", lambda: 7, told.append)])
    assert told == [7]
    assert counts(jobs) == {
        "fits_total": 1,
        "fit_failures_total": 0,
        "fit_seconds_total": 0,
        "fits_running": 0,
    }
    assert {sample.name for sample in jobs.samples()} == {metric.name for metric in METRICS}


def test_answers_are_taken_over_at_a_tick_and_in_order() -> None:
    jobs, later, told = Jobs(), Later(), list[int]()
    jobs.beside(lambda: later, iter(range(9)).__next__)
    jobs.take("state", [Job("one", lambda: 1, told.append), Job("two", lambda: 2, told.append)])
    later.run(1)
    jobs.collect()
    assert told == []
    later.run(0)
    assert told == []
    jobs.collect()
    assert told == [1, 2]
    assert counts(jobs)["fit_seconds_total"] == 2


@pytest.mark.parametrize("beside", [False, True])
def test_a_job_that_fails_is_said_once_and_told_of(beside: bool, caplog: pytest.LogCaptureFixture) -> None:
    jobs, later, failed, told = Jobs(), Later(), list[int](), list[float]()
    if beside:
        jobs.beside(lambda: later, lambda: 0.0)
    caplog.set_level(logging.INFO)
    for divisor in (0, 0, 1):
        jobs.take("state", [Job("gpu", partial(truediv, 1, divisor), told.append, partial(failed.append, 1))])
        if beside:
            later.run(0)
            jobs.collect()
    assert (failed, told) == ([1, 1], [1.0])
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "the models of gpu were not fitted" in caplog.text
    assert counts(jobs)["fit_failures_total"] == 2


class Hanging(Later):
    """Its thread begins the first of its jobs and does not come back."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args)
        if len(self.waiting) == 1:
            future.set_running_or_notify_cancel()
            args[0].began = 0.0
        return future

    def end(self) -> None:
        self.waiting[0][0].set_result((0, 0.0))


def test_one_that_hangs_is_left_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    jobs, threads, now, told, failed = Jobs(), [Hanging(), Later()], [0.0], list[int](), list[int]()
    made = iter(threads)
    jobs.beside(lambda: next(made), lambda: now[0])
    hung = Job("hung", lambda: 1, told.append, partial(failed.append, 1))
    jobs.take("state", [hung, Job("next", lambda: 2, told.append)])
    now[0] = DEADLINE
    jobs.collect()
    assert (failed, counts(jobs)["fits_running"]) == ([], 2)
    now[0] += 1
    jobs.collect()
    jobs.collect()
    assert (failed, counts(jobs)["fits_running"], counts(jobs)["fit_failures_total"]) == ([1], 1, 1)
    assert [record.getMessage()[:40] for record in caplog.records] == [
        "the models of hung were not fitted, thos"
    ]
    threads[1].run(0)
    jobs.collect()
    assert told == [2]
    jobs.take("state", [hung])
    assert (failed, counts(jobs)["fits_running"]) == ([1, 1], 0)  # while it hangs it has no other thread
    assert isinstance(threads[0], Hanging)
    threads[0].end()
    jobs.collect()
    assert told == [2]  # too late: it was given up
    jobs.take("state", [hung])
    threads[1].run(0)
    jobs.collect()
    assert told == [2, 1]


def test_threads_that_hang_are_few() -> None:
    jobs, now, made, failed = Jobs(), [0.0], list[Hanging](), list[str]()

    def threads() -> Executor:
        made.append(Hanging())
        return made[-1]

    jobs.beside(threads, lambda: now[0])
    names = [f"class {number}" for number in range(MOST_HUNG + 3)]
    jobs.take("state", [Job(name, int, failed.append, partial(failed.append, name)) for name in names])
    now[0] = DEADLINE + 1
    for _ in names:
        jobs.collect()
    assert len(made) == MOST_HUNG
    assert sorted(failed) == names
    assert counts(jobs)["fits_running"] == 0


def test_after_the_end_nothing_is_begun() -> None:
    jobs, later, told = Jobs(), Later(), list[int]()
    jobs.beside(lambda: later, lambda: 0.0)
    jobs.close()
    jobs.take("state", [Job("one", lambda: 1, told.append)])
    assert (later.waiting, told) == ([], [])
