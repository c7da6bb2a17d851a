"""The ensemble: alike however it is fed, across restarts, and right about a plain fault."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from detectors.entity.models import baseline, calibration, fit, forest, sample
from detectors.entity.models.ensemble import Ensemble
from detectors.entity.models.rehearsal import rehearse
from detectors.entity.models.replay import replay
from detectors.entity.settings import EntitySettings
from model.moment import MINUTE
from telemetry.bits import Floats

SETTINGS = EntitySettings(warm_up="1h", sample=256, trees=4)
WIDTH = 6
KERNELS: tuple[Any, ...] = (baseline.advance, calibration.judge, fit._tops, forest._walk, sample._draw)


def background(rows: int, seed: int = 1) -> Floats:
    """Six metrics that follow two loads: `[rows, 6]`."""
    noise = np.random.default_rng(seed)
    load = np.cumsum(noise.normal(size=(rows, 2)), axis=0) * 0.02
    mixed = np.concatenate((load, load @ np.array([[1.0, 0.5], [0.5, -1.0]]), load), axis=1)
    return np.asarray(50 + 10 * np.sin(mixed) + noise.normal(size=(rows, WIDTH)))


def trained(rows: Floats, settings: EntitySettings = SETTINGS) -> Ensemble:
    ensemble = Ensemble(WIDTH, MINUTE, settings)
    ensemble.run(rows)
    ensemble.adopt(ensemble.job()())
    return ensemble


@pytest.fixture(scope="module")
def history() -> Floats:
    return background(600)


def test_a_step_in_some_metrics_is_found_and_named() -> None:
    rows = background(700)
    ensemble = trained(rows[:600])
    assert np.nanmax(ensemble.run(rows[600:640]).state) < 1
    faulty = rows[640:660].copy()
    faulty[:, 2] += 40
    faulty[:, 4] -= 40
    found = ensemble.run(faulty)
    assert (found.state[5:] > 1).all()
    assert (found.change[5:] > 1).any()
    features, shares = ensemble.contributions(np.array([0]), top=2)
    assert set(features[0].tolist()) == {2, 4}
    assert shares[0].sum() > 0.5


def test_row_by_row_is_the_same_as_all_at_once(history: Floats) -> None:
    rows = background(30, seed=3)
    at_once = trained(history).run(rows)
    stepped = trained(history)
    one = np.array([0])
    scores = [stepped.step(row[None], one).state[0] for row in rows]
    np.testing.assert_allclose(scores, at_once.state, rtol=1e-4)


def test_the_order_of_the_entities_does_not_matter(history: Floats) -> None:
    forwards, backwards = Ensemble(WIDTH, MINUTE, SETTINGS), Ensemble(WIDTH, MINUTE, SETTINGS)
    rows = np.stack([background(150, seed=seed) for seed in range(3)], axis=1)
    ids = np.arange(3)
    for number, moment in enumerate(rows):
        left, right = forwards.step(moment, ids), backwards.step(moment[::-1], ids[::-1])
        np.testing.assert_array_equal(left.state, right.state[::-1])
        if number == 100:
            forwards.adopt(forwards.job()())
            backwards.adopt(backwards.job()())
    assert not np.isnan(left.state).any()


def test_a_restart_in_the_middle_changes_nothing(history: Floats) -> None:
    first = trained(history)
    rows = background(200, seed=4)
    first.run(rows[:50])
    second = Ensemble(WIDTH, MINUTE, SETTINGS)
    assert second.restore(first.snapshot())
    for ensemble in (first, second):
        ensemble.run(rows[50:100])
        ensemble.adopt(ensemble.job()())
    np.testing.assert_array_equal(first.run(rows[100:]).state, second.run(rows[100:]).state)


def test_another_ones_state_is_refused(history: Floats) -> None:
    other = Ensemble(WIDTH + 1, MINUTE, SETTINGS)
    assert not other.restore(trained(history).snapshot())
    assert not other.restore({})


def test_missing_and_constant_features_are_harmless(history: Floats) -> None:
    rows = history.copy()
    rows[:, 0] = 7.0
    rows[:, 1] = np.nan
    rows[::7, 2] = np.nan
    found = trained(rows).run(rows[:50])
    assert np.isfinite(found.state).all()
    assert (found.state < 1).all()


def test_there_is_no_look_ahead(history: Floats) -> None:
    rows = background(60, seed=5)
    changed = rows.copy()
    changed[40:] += 100
    left, right = trained(history).run(rows), trained(history).run(changed)
    np.testing.assert_array_equal(left.state[:40], right.state[:40])
    np.testing.assert_array_equal(left.change[:40], right.change[:40])


def test_entities_move_with_their_numbers(history: Floats) -> None:
    ensemble = trained(history)
    rows = background(20, seed=6)
    ensemble.remap(np.array([2]), 3)
    assert np.isnan(ensemble.run(rows, entity=0).state).all()
    moved = ensemble.run(rows, entity=2).state
    np.testing.assert_array_equal(moved, trained(history).run(rows).state)


def test_replay_scores_every_row_of_the_test(history: Floats) -> None:
    found = replay(history, background(100, seed=7), MINUTE, SETTINGS)
    assert found.state.shape == (100,)
    assert found.depths.shape == (100, 5)
    assert np.isfinite(found.state).all()
    assert np.isfinite(found.change).all()


def test_a_restart_warms_up_again_but_ends_no_alarm(history: Floats) -> None:
    calm, faulty = trained(history), trained(history)
    rows = background(40, seed=8)
    faulty.run(rows[:20] + 60)
    for ensemble in (calm, faulty):
        ensemble.restart(np.array([0]))
    assert np.isnan(calm.run(rows[20:]).state).all()
    assert (faulty.run(rows[20:] + 60).state > 1).all()


def test_what_lasts_beyond_patience_is_the_new_normal(history: Floats) -> None:
    ensemble = trained(history, SETTINGS.model_copy(update={"patience": 100 * MINUTE}))
    shifted = background(400, seed=9) + 60
    assert (ensemble.run(shifted[:100]).state[10:] > 1).all()
    ensemble.run(shifted[100:300])
    ensemble.adopt(ensemble.job()())
    assert (ensemble.run(shifted[300:]).state > 1).mean() < 0.1


def test_an_anomaly_is_neither_learned_nor_kept_to_fit_on(history: Floats) -> None:
    ensemble = trained(history)
    before = ensemble.snapshot()
    ensemble.run(background(200, seed=9)[:200] + 60)
    after = ensemble.snapshot()
    drift = np.abs(after["baseline_centre"][0] - before["baseline_centre"][0])
    assert drift.max() < 15  # until the gate is closed, by at most LATCH clipped rows
    kept = after["sample_rows"][:, 0].mean(axis=1)
    assert (kept > 10).sum() <= 2


def test_memory_of_an_entity_is_bounded(history: Floats) -> None:
    ensemble = Ensemble(40, MINUTE, SETTINGS)
    ensemble.reserve(1000)
    held = ensemble.snapshot()
    own = sum(array.nbytes for name, array in held.items() if name.startswith(("own", "baseline")))
    assert own / ensemble.size < 4096


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e9])
def test_a_feature_that_never_moved_and_does_once_is_no_anomaly_whatever_its_unit(
    history: Floats, unit: float
) -> None:
    rows = np.concatenate((history, background(20, seed=11)))
    rows[:, 0] = 7.0 * unit
    ensemble = trained(rows[:600])
    rows[610, 0] = 9.0 * unit
    assert (ensemble.run(rows[600:611]).state < 1).all()


def test_the_end_of_an_anomaly_is_no_alarm(history: Floats) -> None:
    ensemble = trained(history)
    rows = background(100, seed=12)
    assert (ensemble.run(rows[:30] + 60).change > 1).any()
    assert (ensemble.run(rows[30:])[1][30:] < 1).all()


def test_what_is_compiled_beforehand_is_all_that_a_step_needs(history: Floats) -> None:
    rehearse()
    compiled = [kernel for kernel in KERNELS if kernel.signatures]
    before = [len(kernel.signatures) for kernel in KERNELS]
    trained(history).run(background(20, seed=13))
    assert len(compiled) == len(KERNELS)
    assert [len(kernel.signatures) for kernel in KERNELS] == before
