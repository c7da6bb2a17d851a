"""Cold starts, told from what is seen: refused connections, pages, readiness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.engines.start import ColdStart


def _said(start: ColdStart, now: float) -> tuple[float | None, float | None, float]:
    """Start time, cold start and load failures."""
    found = {sample.name: sample.value for sample in start.samples(now, "m")}
    return (
        found.get("fleetowl_engine_start_time_seconds"),
        found.get("fleetowl_engine_cold_start_seconds"),
        found["fleetowl_engine_load_failures_total"],
    )


def test_from_the_process_to_the_first_readiness() -> None:
    start = ColdStart()
    start.refused(1000)
    assert _said(start, 1030) == (1000, 30, 0), "it grows while it loads"
    start.scraped(1040, process=990)
    assert _said(start, 1041) == (990, 51, 0), "the page knows better"
    start.ready(1045)
    for now in (1045, 9000):
        assert _said(start, now) == (990, 55, 0)


def test_without_a_time_of_the_process() -> None:
    start = ColdStart()
    start.refused(1000)
    start.scraped(1060, process=None)
    start.ready(1060)
    assert _said(start, 2000) == (1000, 60, 0)


def test_readiness_before_the_first_page() -> None:
    start = ColdStart()
    start.refused(1000)
    start.ready(1060)
    start.scraped(1061, process=1010)
    assert _said(start, 2000) == (1010, 50, 0)


def test_what_was_ready_when_first_seen_has_no_cold_start() -> None:
    start = ColdStart()
    start.scraped(1000, process=500)
    start.ready(1000)
    assert _said(start, 1001) == (500, None, 0), "it may have been ready for hours"


def test_one_that_answers_while_it_loads() -> None:
    start = ColdStart()
    start.not_ready(1000)
    start.not_ready(1100)
    assert start.answering
    assert _said(start, 1100) == (1000, 100, 0)
    start.scraped(1100, process=995)
    start.ready(1110)
    assert _said(start, 2000) == (995, 115, 0)


def test_a_restart_begins_anew() -> None:
    start = ColdStart()
    start.scraped(1000, process=500)
    start.ready(1000)
    start.refused(2000)
    assert _said(start, 2010) == (2000, 10, 0)
    start.scraped(2100, process=2001)
    start.ready(2103)
    assert _said(start, 3000) == (2001, 102, 0)


def test_a_restart_between_two_scrapes() -> None:
    start = ColdStart()
    start.scraped(1000, process=500)
    start.ready(1000)
    start.scraped(1010, process=1002)
    start.ready(1011)
    assert _said(start, 3000) == (1002, 9, 0)


def test_one_that_was_only_out_of_reach_has_not_restarted() -> None:
    start = ColdStart()
    start.refused(400)
    start.scraped(600, process=500)
    start.ready(600)
    start.refused(2000)
    start.scraped(2003, process=500)
    assert _said(start, 2003) == (500, 100, 0)


def test_a_load_that_comes_to_nothing() -> None:
    start = ColdStart()
    for began in (1000, 1100, 1200):
        start.refused(began)
        start.not_ready(began + 50)
    start.refused(1300)
    assert _said(start, 1301) == (1300, 1, 3)
    start.refused(1302)
    assert _said(start, 1302) == (1300, 2, 3), "one that is not there does not fail again and again"


def test_the_container_tells_when_it_began() -> None:
    start = ColdStart(started=900)
    start.refused(1000)
    assert _said(start, 1000) == (900, 100, 0)
    start.container(900)
    start.container(1200)
    assert _said(start, 1210) == (1200, 10, 1), "it began again before it was ready"
    start.ready(1250)
    start.container(1200)
    assert _said(start, 1300) == (1200, 50, 1)


WHAT = st.sampled_from(["refused", "not_ready", "scraped", "page", "ready", "container"])


@given(st.lists(st.tuples(WHAT, st.integers(0, 50)), max_size=40))
def test_it_is_never_negative_and_failures_only_rise(events: list[tuple[str, int]]) -> None:
    start, now, failures = ColdStart(), 1000.0, 0.0
    for what, step in events:
        now += step
        if what == "scraped":
            start.scraped(now, now - step)
        elif what == "page":
            start.scraped(now, None)
        else:
            getattr(start, what)(now)
        _, seconds, failed = _said(start, now)
        assert seconds is None or seconds >= 0
        assert failed >= failures
        failures = failed


@pytest.mark.parametrize("now", [999.0, 0.0])
def test_a_clock_that_steps_back(now: float) -> None:
    start = ColdStart()
    start.refused(1000)
    assert _said(start, now)[1] == 0
    start.ready(now)
    assert _said(start, now)[1] == 0
