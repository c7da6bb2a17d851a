"""What alerts: an entity's scores, its peers, or three of its series; never one series alone."""

import numpy as np

from bench.detection.alerting import alerting, several
from model.moment import SECOND

STEP = 5 * SECOND


def test_two_series_alert_nobody_and_three_do() -> None:
    series = np.zeros((30, 8))
    series[10, :2] = 50.0
    assert not alerting(STEP, series=series).any()
    series[15, 2] = 1.2
    alert = alerting(STEP, series=series)
    assert np.flatnonzero(alert).tolist() == list(range(15, 22))  # within a minute of the first two
    assert several(series, STEP)[15] == 1.2


def test_any_of_the_three_ways_is_enough() -> None:
    nothing = np.zeros((4, 3))
    off = nothing.copy()
    off[2, 1] = -1.5
    assert alerting(STEP, entity=nothing, deviations=off, series=nothing).tolist() == [0, 0, 1, 0]
    assert alerting(STEP, entity=np.abs(off), deviations=nothing).tolist() == [0, 0, 1, 0]
    assert not alerting(STEP, entity=np.full((4, 2), np.nan)).any()
