"""What alerts: peers, or an entity's change; a third of its series, where they are looked at."""

import numpy as np

from bench.detection.alerting import alerting, several
from model.moment import SECOND

STEP = 5 * SECOND


def test_two_series_alert_nobody_and_three_do() -> None:
    series = np.zeros((90, 8))
    series[10, :2] = 50.0
    assert not alerting(STEP, series=series).any()
    series[15, 2] = 1.2
    alert = alerting(STEP, series=series)
    assert np.flatnonzero(alert).tolist() == list(range(15, 70))  # within five minutes of the first two
    assert several(series, STEP)[15] == 1.2


def test_of_many_series_a_third_is_needed() -> None:
    series = np.zeros((20, 30))
    series[10:, :9] = 2.0
    assert not alerting(STEP, series=series).any()
    series[10:, 9] = 2.0
    assert alerting(STEP, series=series)[10:].all()


def test_any_of_the_ways_is_enough() -> None:
    nothing = np.zeros((4, 3))
    off = nothing.copy()
    off[2, 1] = -1.5
    assert alerting(STEP, nothing[:, 0], off, nothing).tolist() == [0, 0, 1, 0]
    change = np.array([0.0, 0.9, 1.1, np.nan])
    assert alerting(STEP, change, nothing, nothing).tolist() == [0, 0, 1, 0]
