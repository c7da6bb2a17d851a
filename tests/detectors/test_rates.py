"""Counters as rates: never negative, resets seen, numbers followed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.rates import CounterRates

ONE = np.array([0])


@given(st.lists(st.integers(0, 1_000), min_size=2, max_size=30), st.integers(1, 60))
def test_rates_are_what_was_counted_never_negative(steps: list[int], interval: int) -> None:
    rates, total = CounterRates(), 0
    for place, step in enumerate(steps):
        total = step if step > 900 else total + step  # more than 900: counts anew from 0
        rate = rates.step(ONE, np.array([place * interval * 1_000]), np.array([float(total)]))[0]
        if place:
            assert rate >= 0
            if step <= 900:
                assert rate == pytest.approx(step / interval)


def test_rates_follow_a_renumbering() -> None:
    rates = CounterRates()
    rates.step(np.arange(2), np.zeros(2, np.int64), np.array([10.0, 20.0]))
    rates.remap(np.array([-1, 0]), 2)
    assert rates.step(np.arange(2), np.full(2, 1_000), np.array([25.0, 1.0]))[0] == 5.0
    assert np.isnan(rates.step(np.array([5]), np.array([0]), np.array([1.0]))[0])
