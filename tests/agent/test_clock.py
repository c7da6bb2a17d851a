"""Steps of the wall clock, seen against the monotonic one."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.clock import SMALLEST, ClockWatch


class Clocks:
    """Both clocks of a machine; `tear` is how long the next reading of the wall clock is held up."""

    def __init__(self) -> None:
        self.mono, self.offset, self.tear = 50.0, 1_700_000_000.0, 0.0

    def monotonic(self) -> float:
        return self.mono

    def wall(self) -> float:
        now = self.mono + self.offset
        self.mono, self.tear = self.mono + self.tear, 0.0
        return now

    def watch(self) -> ClockWatch:
        return ClockWatch(self.wall, self.monotonic)

    def values(self, watch: ClockWatch) -> list[float]:
        return [sample.value for sample in watch.samples()]


@pytest.mark.parametrize("step", [3600.0, -3600.0, 0.5, -0.5])
def test_a_step_is_counted_and_said_once(step: float, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    clocks = Clocks()
    watch = clocks.watch()
    for beat in range(10):
        clocks.mono += 1.0
        clocks.offset += step if beat == 4 else 0.0
        assert watch.look() == pytest.approx(step if beat == 4 else 0.0)
    assert clocks.values(watch) == [1.0, pytest.approx(step)]
    (record,) = caplog.records
    assert ("forward" if step > 0 else "back") in record.message


@given(st.lists(st.floats(-0.0005, 0.0005), max_size=50), st.lists(st.floats(0, 3), max_size=50))
def test_slewing_and_a_busy_machine_are_no_steps(drift: list[float], held_up: list[float]) -> None:
    clocks = Clocks()
    watch = clocks.watch()
    for slew, tear in zip(drift, held_up, strict=False):
        clocks.mono += 1.0
        clocks.offset += slew
        clocks.tear = tear
        assert watch.look() == 0.0
    assert clocks.values(watch) == [0.0, 0.0]


def test_a_step_right_after_another_is_another() -> None:
    clocks = Clocks()
    watch = clocks.watch()
    for step in (10.0, -10.0):
        clocks.offset += step
        watch.look()
    assert clocks.values(watch) == [2.0, pytest.approx(-10.0)]
    clocks.offset += SMALLEST / 2
    assert watch.look() == 0.0
