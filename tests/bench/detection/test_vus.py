"""VUS-PR: what a perfect, a random and a constant score get, and the definition at no slope."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.detection.scorers.vus import vus_pr
from telemetry.bits import Flags, Floats

ROWS = 3000


def labels(*events: tuple[int, int]) -> Flags:
    flags = np.zeros(ROWS, bool)
    for first, last in events:
        flags[first : last + 1] = True
    return flags


TRUTH = labels((400, 499), (1500, 1519), (2500, 2700))


def average_precision(truth: Flags, scores: Floats) -> float:
    """The area as scikit-learn defines it, one threshold for each distinct score."""
    area = before = 0.0
    for threshold in np.unique(scores)[::-1]:
        alarm = scores >= threshold
        recall, precision = truth[alarm].sum() / truth.sum(), truth[alarm].mean()
        area, before = area + (recall - before) * precision, recall
    return area


def test_a_perfect_score_is_1() -> None:
    assert vus_pr(TRUTH, TRUTH.astype(float)) == pytest.approx(1.0)


def test_random_and_constant_scores_get_little_more_than_the_share_of_anomalous_rows() -> None:
    random = np.random.default_rng(1).random(ROWS)
    assert vus_pr(TRUTH, random) == pytest.approx(TRUTH.mean(), abs=0.05)
    assert vus_pr(TRUTH, np.ones(ROWS)) == pytest.approx(TRUTH.mean(), abs=0.05)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 3))
def test_without_slopes_one_event_gives_the_average_precision(seed: int, digits: int) -> None:
    truth = labels((1000, 1100))
    scores = np.round(np.random.default_rng(seed).normal(size=ROWS) + truth, digits)
    assert vus_pr(truth, scores, 0, None) == pytest.approx(average_precision(truth, scores))


def test_an_alarm_beside_an_event_is_worth_more_than_one_far_away() -> None:
    near, far = np.zeros(ROWS), np.zeros(ROWS)
    near[500:540] = 1.0
    far[800:840] = 1.0
    assert vus_pr(TRUTH, near) > vus_pr(TRUTH, far)


def test_an_event_that_is_never_seen_costs_recall() -> None:
    partly = TRUTH.astype(float)
    partly[1500:1520] = 0.0
    assert 0.5 < vus_pr(TRUTH, partly) < 0.8


def test_only_the_order_of_the_scores_counts_and_nan_is_the_lowest() -> None:
    scores = np.random.default_rng(2).random(ROWS) + TRUTH
    assert vus_pr(TRUTH, np.exp(scores)) == pytest.approx(vus_pr(TRUTH, scores))
    lowest = scores.copy()
    lowest[:100] = np.nan
    scores[:100] = -1.0
    assert vus_pr(TRUTH, lowest) == pytest.approx(vus_pr(TRUTH, scores))


def test_no_event_is_no_figure() -> None:
    assert np.isnan(vus_pr(np.zeros(10, bool), np.zeros(10)))
