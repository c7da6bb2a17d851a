from __future__ import annotations

import logging

import pytest

from analyzer.tick import Step, Tick


def test_a_step_that_fails_does_not_take_the_others_down(caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []

    def broken(_now: int) -> None:
        raise RuntimeError("no luck")

    tick = Tick([Step("bad", broken), Step("good", lambda now: ran.append(f"{now}"))], 1000)
    with caplog.at_level(logging.ERROR):
        tick.run(1)
        tick.run(2)
    assert ran == ["1", "2"]
    values = {(s.name, s.labels.get("step")): s.value for s in tick.samples()}
    assert values["fleetowl_tick_step_failures_total", "bad"] == 2
    assert values["fleetowl_tick_step_failures_total", "good"] == 0
    assert caplog.text.count("the step bad of the tick failed") == 1, "the same error is said once"


def test_a_late_tick_is_counted() -> None:
    ran: list[int] = []
    tick = Tick([Step("slow", lambda _now: ran.append(sum(range(200_000))))], 0)
    tick.run(1)
    assert {s.name: s.value for s in tick.samples()}["fleetowl_ticks_late_total"] == 1
