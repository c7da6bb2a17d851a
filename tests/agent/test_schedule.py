"""Ticks: aligned, without drift, none made up for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.schedule import Schedule


def test_the_first_tick_is_at_a_multiple_of_the_interval() -> None:
    schedule = Schedule(5000, wall=1_700_000_003_200, monotonic=50.0)
    assert abs(schedule.wait(50.0) - 1.8) < 1e-9


def test_a_slow_tick_costs_those_that_it_overran() -> None:
    schedule = Schedule(1000, wall=0, monotonic=0.0)
    schedule.begin(1.0)
    schedule.begin(2.0)
    assert schedule.wait(2.25) == 0.75
    schedule.begin(5.5)  # was due at 3
    assert schedule.missed == 2
    assert schedule.wait(5.5) == 0.5


@given(
    interval=st.integers(100, 300_000),
    wall=st.floats(0, 2e12),
    late=st.lists(st.floats(0, 0.9), min_size=1, max_size=50),
)
def test_lateness_does_not_add_up(interval: int, wall: float, late: list[float]) -> None:
    schedule = Schedule(interval, wall, monotonic=0.0)
    first = schedule.wait(0.0)
    assert 0 < first <= interval / 1000
    now = 0.0
    for share in late:
        now += schedule.wait(now)
        now += share * interval / 1000
        schedule.begin(now)
    due = first + len(late) * interval / 1000
    assert abs(now + schedule.wait(now) - due) < 1e-6 * due
    assert schedule.missed == 0
