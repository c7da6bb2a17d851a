"""Work beside the tick: run at once in virtual time, taken over in order otherwise; an error is said once."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from functools import partial
from operator import truediv
from typing import Any

import pytest

from detectors.jobs import METRICS, Job, Jobs


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
    jobs.beside(later, iter(range(9)).__next__)
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
        jobs.beside(later, lambda: 0.0)
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
