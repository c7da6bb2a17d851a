"""The event scorer: a constant alarm cannot win, a shifted alarm is late, an oracle is the upper bound."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.detection.scorers.events import Tally, alarms, oracle, tally, together
from model.moment import MINUTE

ROWS = 5 * 24 * 60
TIMES = np.arange(ROWS) * MINUTE
TRUTH = np.zeros(ROWS, bool)
TRUTH[1000:1040] = TRUTH[3000:3200] = True


def raised(*rows: int) -> np.ndarray:
    scores = np.zeros(ROWS)
    scores[list(rows)] = 1.5
    return scores


def test_a_constant_alarm_costs_24_false_ones_a_day() -> None:
    constant = tally(TIMES, TRUTH, np.full(ROWS, 9.0))
    assert constant.false_per_day == pytest.approx(24, rel=0.02)
    assert constant.f1 < 0.05


def test_an_alarm_late_in_the_event_is_late_and_behind_it_is_false() -> None:
    found = tally(TIMES, TRUTH, raised(1000, 3000))
    assert (found.events, found.found, found.false, found.delays) == (2, 2, 0, (0.0, 0.0))
    assert found.days == pytest.approx(4.8, abs=0.1)
    late = tally(TIMES, TRUTH, raised(1030))
    assert (late.found, late.false, late.delay, late.recall, late.precision) == (1, 0, 1800.0, 0.5, 1.0)
    missed = tally(TIMES, TRUTH, raised(1040))
    assert (missed.found, missed.false, missed.f1) == (0, 1, 0.0)
    assert np.isnan(missed.delay)


def test_an_alarm_just_before_an_event_makes_deaf_for_it() -> None:
    early = tally(TIMES, TRUTH, raised(*range(990, 1040)))
    assert (early.found, early.false) == (0, 1)


def test_the_cool_down_is_of_the_clock_not_of_rows() -> None:
    times = np.array([0, 1, 59, 60, 200]) * MINUTE
    assert alarms(times, np.full(5, 2.0), 1.0).tolist() == [0, 3, 4]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, ROWS - 1), max_size=30))
def test_counts_agree(rows: list[int]) -> None:
    found = tally(TIMES, TRUTH, raised(*rows))
    assert 0 <= found.found <= found.events == 2
    assert found.false <= len(set(rows))
    assert found + Tally() == found
    assert together([found, found]).false == 2 * found.false


def test_the_threshold_itself_and_nan_raise_nothing() -> None:
    scores = np.full(ROWS, 1.0)
    scores[::7] = np.nan
    assert tally(TIMES, TRUTH, scores).false == 0


def test_an_oracle_keeps_the_budget_and_is_no_worse() -> None:
    scores = np.random.default_rng(3).random(ROWS)
    scores[1005] = scores[3050] = 1.6
    scores[4000] = 1.4
    threshold, best = oracle([(TIMES, TRUTH, scores)], 1.0)
    assert best.false_per_day <= 1.0
    assert best.f1 == 1.0
    assert tally(TIMES, TRUTH, scores, threshold) == best
    assert best.f1 >= tally(TIMES, TRUTH, scores).f1
