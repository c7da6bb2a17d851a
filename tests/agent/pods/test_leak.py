"""What leaks and what does not: half hours of memory, one reading every 15 seconds."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pods.leak import SHORTEST, Trend

MIB, GIB = 1 << 20, 1 << 30
MINUTE = 60.0
Shape = Callable[[float], float]


def rates(shape: Shape, minutes: float = 90, begin: float = 1e6) -> list[tuple[float, float | None]]:
    """Minute and rate after each reading of a life that begins at minute 0."""
    trend, found = Trend(), []
    for turn in range(int(minutes * 4)):
        at = turn * 15.0
        trend.add(begin + at, shape(at))
        found.append((at / MINUTE, trend.rate))
    return found


def noisy(shape: Shape, least: float, most: float, seed: int = 1) -> Shape:
    numbers = random.Random(seed)
    return lambda at: shape(at) + numbers.uniform(least, most)


def step(size: float, every: float) -> Shape:
    return lambda at: at // every * size


@pytest.mark.parametrize("rate", [20e3, 300e3, 5e6])
def test_a_steady_leak_is_found_twenty_minutes_into_a_life(rate: float) -> None:
    found = rates(lambda at: 60 * GIB + rate * at)
    assert all(value is None for minute, value in found if minute < 20)
    assert all(value == pytest.approx(rate, rel=0.01) for minute, value in found if minute >= 21)


def test_a_leak_that_begins_late_is_found_within_half_an_hour() -> None:
    found = rates(lambda at: 60 * GIB + max(0.0, at - 40 * MINUTE) * 300e3, minutes=120)
    first = next(minute for minute, value in found if value)
    assert 40 < first <= 70
    assert all(value == pytest.approx(300e3, rel=0.01) for minute, value in found if minute >= 71)


def test_a_leak_under_noise_and_in_blocks_is_found() -> None:
    noise = rates(noisy(lambda at: 60 * GIB + 500e3 * at, 0, 100 * MIB), minutes=180)
    settled = [value for minute, value in noise if minute > 31]
    assert all(value == pytest.approx(500e3, rel=0.25) for value in settled)
    blocks = rates(step(20 * MIB, every=45.0), minutes=60)
    assert all(value == pytest.approx(20 * MIB / 45, rel=0.2) for minute, value in blocks if minute > 21)


def test_a_leak_beneath_a_sawtooth_is_found() -> None:
    def shape(at: float) -> float:
        return 4 * GIB + 2e6 * at + (at % 120) / 120 * GIB

    assert all(value == pytest.approx(2e6, rel=0.2) for minute, value in rates(shape) if minute > 31)


NO_LEAKS: dict[str, Shape] = {
    "level": lambda at: 70 * GIB,
    "start-up ramp, then a plateau": lambda at: min(70 * GIB, at * 70 * GIB / (8 * MINUTE)),
    "slow start-up, then a plateau": lambda at: min(70 * GIB, at * 70 * GIB / (16 * MINUTE)),
    "sawtooth of minutes": lambda at: 10 * GIB + at % 200 / 200 * 5 * GIB,
    "noise": noisy(lambda at: 40 * GIB, -GIB, GIB),
    "one step": lambda at: 40 * GIB + (20 * GIB if at > 30 * MINUTE else 0),
    "two steps": lambda at: 40 * GIB + at // (25 * MINUTE) * GIB,
    "waves": lambda at: 40 * GIB + 10 * GIB * math.sin(at / 200),
    "a cache that fills ever slower": lambda at: 40 * GIB * (1 - math.exp(-at / (4 * MINUTE))),
    "falling": lambda at: 70 * GIB - at * 1e6,
    "less than 16 MiB in half an hour": lambda at: 40 * GIB + at * 8e3,
}


@pytest.mark.parametrize("name", NO_LEAKS)
def test_what_is_no_leak(name: str) -> None:
    found = rates(NO_LEAKS[name], minutes=240)
    assert {value for minute, value in found if minute >= 21} == {0.0}


def test_a_long_climb_is_taken_back_when_it_ends() -> None:
    """What climbs for 33 minutes cannot be told from a leak before it falls."""
    found = rates(lambda at: min(at, 33 * MINUTE) * 1e6 + GIB, minutes=60)
    assert found[4 * 33][1]
    assert all(value == 0.0 for minute, value in found if minute > 44)


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_no_leak_on_any_day(seed: int) -> None:
    numbers = random.Random(seed)
    found = rates(lambda at: numbers.gauss(40, 1) * GIB, minutes=24 * 60)
    assert not any(value for _, value in found)


def test_a_gap_proves_nothing() -> None:
    trend = Trend()
    for at in (*range(0, 600, 15), *range(1500, 1830, 15)):
        trend.add(float(at), 1e6 * at)
    assert trend.rate == 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 600), st.floats(0, 1e12)), max_size=150))
def test_its_state_is_bounded_and_it_never_raises(steps: list[tuple[float, float]]) -> None:
    trend, at = Trend(), 0.0
    for pause, value in steps:
        at += pause
        trend.add(at, value)
        assert len(trend._points) <= 60
        assert trend.rate is None or trend.rate >= 0
        assert at >= SHORTEST or trend.rate is None
