"""One absurd value, whenever it comes, neither widens what is usual nor spoils the models of the class."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from detectors.entity.models.baseline import RING, Baseline
from detectors.entity.models.ensemble import Ensemble
from detectors.entity.models.fit import fit
from detectors.entity.settings import EntitySettings
from model.moment import MINUTE
from telemetry.bits import Floats

WIDTH = 5
MEMORY = 10_000
ONE = np.zeros(1, np.int64)


def usual(rows: int, seed: int = 1) -> Floats:
    """Five metrics that follow one load, `[rows, 5]`."""
    noise = np.random.default_rng(seed)
    load = np.sin(np.arange(rows) / 9)[:, None] * np.array([10.0, 40.0, 5.0, 8.0, 20.0])
    return np.asarray(100.0 + load + noise.normal(size=(rows, WIDTH)))


def learned(rows: Floats) -> tuple[Floats, Floats]:
    """Location and scale after the rows of one entity, `[d]` each."""
    held = Baseline(rows.shape[1], MEMORY)
    held.reserve(1)
    held.calm[:] = True
    held.take(rows, np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_))
    return held.centre[0], held.scale(ONE)[0]


@settings(max_examples=25, deadline=None)
@given(some.integers(0, 299), some.sampled_from([1e5, -1e9, 1e30, -1e100, 1e300]))
def test_what_is_usual_stays(at: int, absurd: float) -> None:
    rows = usual(300)
    centre, scale = learned(rows)
    rows[at, 2] = absurd
    moved, widened = learned(rows)
    assert (np.abs(moved - centre) < scale).all()
    assert (widened < 2.5 * scale).all()
    assert (widened > scale / 2.5).all()


@pytest.mark.parametrize("at", [0, 1, 50, 150])
def test_a_feature_that_hardly_ever_moves_has_the_unit_of_its_smaller_move(at: int) -> None:
    rows = np.full((300, 1), 7.0)
    rows[at] = 1e9
    assert learned(rows)[1][0] < 1
    rows[[200, 220]] = 12.0
    centre, scale = learned(rows)
    assert abs(centre[0] - 7.0) < 1
    assert 0.05 < scale[0] < 5


def test_one_that_flips_between_two_values_from_the_start_has_their_distance() -> None:
    centre, scale = learned(np.asarray(60.0 + (np.arange(300.0) // 3 % 2)[:, None]))
    assert 60 <= centre[0] <= 61
    assert 0.3 < scale[0] < 1


@pytest.mark.parametrize("at", [0, 20, 100, 115])
def test_the_glitch_of_one_does_not_blind_it_or_its_class(at: int) -> None:
    rows = np.stack([usual(160, seed) for seed in range(3)], axis=1)
    rows[at, 0, 1] = 1e9
    ensemble = Ensemble(WIDTH, MINUTE, EntitySettings(warm_up="1h", sample=512, trees=4))
    who = np.arange(3)
    for row in rows[:120]:
        ensemble.step(row, who)
    ensemble.adopt(ensemble.job()())
    for row in rows[120:140]:
        calm = ensemble.step(row, who)
    assert (calm.state[1:] < 1).all()
    rows[140:, :2, :3] += np.array([60.0, -150.0, 40.0])
    found = np.max([ensemble.step(row, who).state for row in rows[140:]], axis=0)
    assert (found[:2] > 1).all()
    assert found[2] < 1


def test_a_value_as_far_as_any_does_not_reach_a_fit() -> None:
    rows = usual(200)
    rows[150, 0] = 1e30
    ensemble = Ensemble(WIDTH, MINUTE, EntitySettings(sample=256, trees=4))
    ensemble.run(rows)
    held = ensemble._sample.taken(ensemble._baseline)
    assert len(held) == 200 - 3 * RING
    assert np.abs(held).max() < 15
    rows[:, 0] = np.where(np.arange(200) % 5 == 0, 1e30, rows[:, 0])
    ensemble = Ensemble(WIDTH, MINUTE, EntitySettings(sample=256, trees=4))
    ensemble.run(rows)
    assert np.isfinite(fit(ensemble._sample.taken(ensemble._baseline), 1, 4).tails).all()
