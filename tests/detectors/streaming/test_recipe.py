"""The recipe of the streaming detector, one series at a time."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.streaming.recipe import STATE, Scores, params_of, run, step
from detectors.streaming.settings import StreamingSettings
from telemetry.bits import Floats, Ints

FIVE_SECONDS = 5_000


def _noise(length: int, seed: int = 1) -> tuple[Ints, Floats]:
    return np.arange(length) * FIVE_SECONDS, 50 + np.random.default_rng(seed).normal(size=length)


def _onsets(scores: Scores) -> Ints:
    high = scores.score > 1
    return np.flatnonzero(high & ~np.r_[False, high[:-1]])


def test_warm_up_has_no_scores() -> None:
    scores = run(*_noise(100), StreamingSettings(warm_up=60))
    for column in scores:
        assert np.isnan(column[:60]).all()
        assert np.isfinite(column[60:]).all()


def test_noise_obeys_the_budget() -> None:
    """Forty series of half a day at 5 s: at most one false alarm where the budget expects one."""
    alarms = sum(len(_onsets(run(*_noise(8_640, seed)))) for seed in range(40))
    assert alarms <= 3


@pytest.mark.parametrize("sigma", [5.0, 6.0, -6.0])
def test_step_is_seen_within_forty_seconds(sigma: float) -> None:
    times, values = _noise(2_000)
    values[1_500:] += sigma
    onsets = _onsets(run(times, values))
    assert 1_500 <= onsets[0] < 1_508


def test_lasting_shift_is_one_onset_and_learned() -> None:
    times, values = _noise(3_000)
    values[1_500:] += 30
    scores = run(times, values)
    assert list(_onsets(scores)) == [1_500]
    assert (scores.score[2_000:] <= 1).all()


@pytest.mark.parametrize("glitch", [1e5, -1e9])
def test_an_absurd_reading_in_the_warm_up_does_not_hide_a_step_an_hour_later(glitch: float) -> None:
    times, values = _noise(900)
    values[30] = glitch
    values[780:] += 20
    assert run(times, values).score[780:].max() > 1


@pytest.mark.parametrize("glitch", [60.0, 5e4, 1e9, -1e9])
def test_one_absurd_reading_does_not_hide_a_step_an_hour_later(glitch: float) -> None:
    times, values = _noise(2_840)
    values[2_000] = glitch
    values[2_720:] += 20
    scores = run(times, values)
    half = (scores.high - scores.low) / 2
    assert half[2_012] < 2 * half[1_999], "a minute later"
    assert scores.score[2_720:].max() > 1.5


def test_missing_values_leave_the_state_alone() -> None:
    times, values = _noise(500)
    holes = np.insert(values, 300, [np.nan, np.inf, -np.inf])
    there = np.r_[0:300, 303:503]
    for with_holes, without in zip(
        run(np.arange(503) * FIVE_SECONDS, holes), run(times, values), strict=True
    ):
        assert np.array_equal(with_holes[there], without, equal_nan=True)
        assert np.isnan(with_holes[300:303]).all()


def test_value_outside_the_band_is_anomalous() -> None:
    times, values = _noise(2_000)
    values[1_000::100] += 20
    scores = run(times, values)
    out = (values < scores.low) | (values > scores.high)
    assert out.any()
    assert (scores.score[out] >= 1).all()


def test_constant_that_moves_once() -> None:
    values = np.full(1_000, 7.0)
    values[800:] = 8.0
    scores = run(np.arange(1_000) * FIVE_SECONDS, values)
    assert list(_onsets(scores)) == [800]
    assert scores.score[800] < 100


def test_step_is_the_run() -> None:
    times, values = _noise(300)
    params, state = params_of(StreamingSettings(), FIVE_SECONDS), np.zeros(len(STATE), np.float32)
    results = [
        step(state, int(time // 3_600_000 % 24), value, params)
        for time, value in zip(times, values, strict=True)
    ]
    for one, column in zip(zip(*results, strict=True), run(times, values), strict=True):
        assert np.array_equal(np.array(one), column, equal_nan=True)


def test_stuck_series_is_seen() -> None:
    times, values = _noise(2_000)
    values[1_500:] = values[1_500]
    onsets = _onsets(run(times, values))
    assert 1_500 <= onsets[0] < 1_530


def test_constants_are_never_anomalous() -> None:
    for constant in (0.0, 1e-12, 7.0, 1e15):
        scores = run(np.arange(500) * FIVE_SECONDS, np.full(500, constant))
        assert (scores.score[60:] <= 1).all()


def test_first_move_from_zero_is_bounded() -> None:
    values = np.zeros(1_000)
    values[800] = 1.0
    scores = run(np.arange(1_000) * FIVE_SECONDS, values)
    assert 1 < scores.score[800] <= 100


def test_change_is_said_once() -> None:
    times, values = _noise(3_000)
    values[1_500:] += 5
    changes = np.flatnonzero(run(times, values).change > 1)
    assert len(changes) == 1
    assert 1_500 <= changes[0] < 1_512


def test_sampling_interval_changes_what_is_rare() -> None:
    """The same probability at 5 s and at 5 min is not the same rate of false alarms."""
    settings = StreamingSettings()
    fast, slow = params_of(settings, 5_000), params_of(settings, 300_000)
    assert fast[0] - slow[0] == pytest.approx(np.log(60))


def test_daily_rhythm_is_learned() -> None:
    times = np.arange(288 * 8) * 300_000
    noise = np.random.default_rng(3).normal(size=len(times))
    values = 100 + 40 * ((times // 3_600_000) % 24 >= 9) + noise
    assert (
        _onsets(run(times, values)) < 300
    ).all()  # the first morning is news, and the first night, no other
    values[288 * 7 + 110 : 288 * 7 + 130] -= 40  # the working day does not begin
    assert (_onsets(run(times, values)) > 300).sum() == 1
