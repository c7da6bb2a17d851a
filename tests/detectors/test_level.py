"""The level detector and the rates under it: no look-ahead, no order, no infinite score, no poison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors.level import LevelDetector
from detectors.rates import CounterRates
from detectors.settings import LevelSettings
from telemetry.window import IdRemap

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
ONE = np.array([0])


def run(
    values: NDArray[np.float64] | list[float], settings: LevelSettings | None = None
) -> NDArray[np.float64]:
    """Scores, lows and highs `[samples, 3]` of one series."""
    detector = LevelDetector(settings)
    return np.array([np.concatenate(detector.score(ONE, np.array([value]))) for value in values])


def noise(count: int, seed: int = 1) -> NDArray[np.float64]:
    return 50 + np.random.default_rng(seed).normal(0, 2, count)


def test_no_score_before_the_warm_up_is_over() -> None:
    scores = run(noise(62))
    assert np.isnan(scores[:60]).all()
    assert np.isfinite(scores[60:]).all()


def test_warm_up_takes_everything_as_it_comes() -> None:
    values = np.array([1.0, 1.0, 1.0, 1.1, 0.9, 500.0, 1.0, -300.0, 1.0])
    detector, residuals = LevelDetector(), []
    for place, value in enumerate(values):
        if place:
            residuals.append(abs(value - detector.level[0]))
        detector.score(ONE, np.array([value]))
    assert detector.level[0] == pytest.approx(values.mean())
    assert detector.scale[0] == pytest.approx(np.mean(residuals))


def test_noise_is_not_anomalous_and_a_jump_is() -> None:
    scores = run(np.append(noise(2_000), 80.0))
    assert (scores[60:2_000, 0] > 1).sum() == 0
    assert scores[2_000, 0] > 2
    assert 35 < scores[1_999, 1] < 45 < 55 < scores[1_999, 2] < 65


def test_false_alarms_on_noise_are_as_rare_as_the_docstring_says() -> None:
    random, count = np.random.default_rng(5), 3_000

    def rate(draw: Callable[[], NDArray[np.float64]]) -> float:
        detector, ids = LevelDetector(), np.arange(count)
        scores = [detector.score(ids, 50 + draw()).score for _ in range(300)][100:]
        return float((np.array(scores) > 1).mean())

    assert rate(lambda: random.normal(0, 2, count)) < 15e-6
    assert 0.005 < rate(lambda: random.standard_t(3, count)) < 0.01


@pytest.mark.parametrize(("shift", "at_most"), [(20, 30), (100, 110), (1_000, 240)])
def test_a_lasting_shift_is_learned_as_soon_as_the_docstring_says(shift: float, at_most: int) -> None:
    scores = run(np.append(noise(1_000), noise(400, seed=2) + shift))[1_000:, 0]
    assert scores[0] > 1
    assert np.flatnonzero(scores > 1).max() < at_most


def test_a_score_above_one_is_a_value_outside_the_band() -> None:
    values = np.append(noise(100), np.linspace(20, 80, 200))
    scores = run(values)[60:]
    outside = (values[60:] < scores[:, 1]) | (values[60:] > scores[:, 2])
    assert (outside == (scores[:, 0] > 1)).all()


def test_a_spike_does_not_poison_what_follows() -> None:
    calm, spiked = noise(400), noise(400)
    spiked[200] = 1e9
    after = slice(201, None)
    assert run(spiked)[200, 0] == 100.0
    assert np.abs(run(spiked)[after] - run(calm)[after]).max() < 2.5
    assert (run(spiked)[after, 0] < 1).all()


@pytest.mark.parametrize("constant", [0.0, 1.0, -7e12, 1e-300])
def test_a_constant_series_scores_zero_and_its_first_move_is_finite(constant: float) -> None:
    scores = run([constant] * 200 + [constant + 1 + abs(constant)])
    assert (scores[60:200, 0] == 0).all()
    assert 1 < scores[200, 0] <= 100


def test_an_idle_series_that_starts_to_work_is_learned() -> None:
    scores = run(np.append(np.zeros(500), noise(500)))[:, 0]
    assert scores[500] == 100
    assert (scores[800:] < 1).all()


def test_rounding_noise_of_a_constant_is_none() -> None:
    assert run([100.0, np.nextafter(100.0, 101.0)] * 100)[60:, 0].max() < 1e-12


@given(st.lists(FINITE, min_size=5, max_size=40), st.integers(1, 40))
def test_what_comes_later_changes_nothing_before(values: list[float], cut: int) -> None:
    settings = LevelSettings(warm_up=3)
    whole, part = run(values, settings), run(values[:cut], settings)
    assert whole[:cut].tobytes() == part.tobytes()


@given(st.lists(st.lists(FINITE, min_size=4, max_size=4), min_size=3, max_size=20), st.permutations(range(4)))
def test_series_do_not_touch_one_another_in_any_order(rows: list[list[float]], order: list[int]) -> None:
    settings = LevelSettings(warm_up=2)
    together, alone = LevelDetector(settings), [LevelDetector(settings) for _ in range(4)]
    ids = np.array(order)
    for row in rows:
        scores = together.score(ids, np.array(row)[ids])
        single = [alone[sid].score(ONE, np.array([row[sid]])) for sid in order]
        for place, column in enumerate(scores):
            assert column.tobytes() == np.concatenate([each[place] for each in single]).tobytes()


@given(st.lists(FINITE, min_size=10, max_size=60))
def test_scores_are_finite_and_the_band_holds_the_level(values: list[float]) -> None:
    scores = run(values, LevelSettings(warm_up=2))[2:]
    assert np.isfinite(scores).all()
    assert ((scores[:, 0] >= 0) & (scores[:, 0] <= 100)).all()
    assert (scores[:, 1] <= scores[:, 2]).all()


def test_state_follows_a_renumbering() -> None:
    detector = LevelDetector(LevelSettings(warm_up=2))
    for _ in range(5):
        detector.score(np.arange(3), np.array([1.0, 2.0, 3.0]))
    detector.remap(IdRemap(np.array([-1, 1, 0]), 3))
    assert detector.level.tolist() == [3.0, 2.0, 0.0]
    assert detector.count.tolist() == [5, 5, 0]


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
