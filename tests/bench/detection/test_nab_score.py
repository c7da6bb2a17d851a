"""NAB's score against examples worked by hand and against what must hold of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.detection.labelled.series import Series
from bench.detection.scorers import nab

EVENTS = ((200, 249), (400, 419))
ROWS = 1000  # of which 150 are probation


def judged(rows: list[int], events: tuple[tuple[int, int], ...] = EVENTS) -> nab.Judged:
    scores = np.zeros(ROWS)
    scores[rows] = 2.0
    return nab.Judged(Series("g", "n", np.arange(ROWS) * 60_000, np.zeros(ROWS), events), scores)


def standard(rows: list[int], events: tuple[tuple[int, int], ...] = EVENTS) -> float:
    return nab.score([judged(rows, events)], nab.STANDARD, 1.0)


@pytest.mark.parametrize("profile", nab.PROFILES)
def test_no_alarm_is_0_and_the_first_row_of_each_window_is_100(profile: nab.Profile) -> None:
    assert nab.score([judged([])], profile, 1.0) == 0.0
    assert nab.score([judged([200, 400])], profile, 1.0) == pytest.approx(100.0)


def test_worked_by_hand() -> None:
    # One window of two found at its first row: (1 - 1 + 2) / 4.
    assert standard([200]) == pytest.approx(50.0)
    # 25 of 50 rows late: place -0.5 is worth tanh(1.25) / tanh(2.5) = 0.859793.
    assert standard([225, 400]) == pytest.approx(100 * (2 + 1.859793) / 4, abs=1e-4)
    # A false alarm before every window costs 0.11 of the scale of 4.
    assert standard([160, 200, 400]) == pytest.approx(100 - 11 / 4)
    # One behind the first window by its length less a row: 0.98661 * 0.11; another by three: all of it.
    assert standard([200, 298, 400]) == pytest.approx(100 - 98.6614 * 0.11 / 4, abs=1e-3)
    assert standard([200, 396, 400]) == pytest.approx(100 - 11 / 4)
    # What is in the probation is free.
    assert standard([10, 149, 200, 400]) == pytest.approx(100.0)
    # The profiles weigh the same alarms differently.
    assert nab.score([judged([160, 200])], nab.LOW_FP, 1.0) == pytest.approx(100 * (2 - 0.22) / 4)
    assert nab.score([judged([160, 200])], nab.LOW_FN, 1.0) == pytest.approx(100 * (3 - 0.11) / 6)


def test_a_window_within_the_probation_does_not_count() -> None:
    assert standard([200], ((10, 40), (200, 249))) == pytest.approx(100.0)
    assert np.isnan(standard([200], ((10, 40),)))


@settings(max_examples=25, deadline=None)
@given(st.integers(200, 248), st.integers(1, 30))
def test_a_later_alarm_earns_less(row: int, later: int) -> None:
    assert standard([min(row + later, 249)]) < standard([row])


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, ROWS - 1), max_size=20), st.sampled_from(nab.PROFILES))
def test_the_optimised_threshold_is_at_least_as_good_as_any_other(
    rows: set[int], profile: nab.Profile
) -> None:
    one = judged(sorted(rows))
    one.scores[:] += np.random.default_rng(len(rows)).random(ROWS)
    best, threshold = nab.optimised([one], profile)
    assert nab.score([one], profile, threshold) == pytest.approx(best)
    for other in (0.1, 0.5, 0.9, 1.0, 2.0, 2.5):
        assert nab.score([one], profile, other) <= best + 1e-9


def test_neither_a_constant_alarm_nor_silence_wins() -> None:
    one = judged(list(range(ROWS)))
    assert nab.score([one], nab.STANDARD, 1.0) < -400
    assert nab.optimised([one], nab.STANDARD) == (0.0, float("inf"))
    assert nab.optimised([nab.Judged(one.series, np.full(ROWS, np.nan))], nab.STANDARD) == (0.0, float("inf"))


def test_hits_and_false_alarms() -> None:
    one = judged([10, 160, 161, 210, 211, 500])
    assert nab.hits(one, 1.0) == 1
    assert nab.false_alarms(one, 1.0) == 3
