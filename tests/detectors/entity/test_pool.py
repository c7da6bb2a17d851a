"""Entities that work in bursts: their rows are few, and still they are judged."""

from __future__ import annotations

import numpy as np
import pytest

from detectors.entity.kinds import KINDS
from detectors.entity.models.baseline import RING
from detectors.entity.pool import Pool, PoolKey, Told
from detectors.entity.settings import EntitySettings
from model.moment import HOUR, SECOND
from telemetry.bits import Floats

STEP = 15 * SECOND
GPU = next(kind for kind in KINDS if kind.name == "gpu")
WIDTH = len(GPU.features)
ONE = np.zeros(1, np.int64)


class Bursts:
    """One GPU that has something to do for some rows, then nothing for some minutes."""

    def __init__(self, rows: int = 4, pause: int = 180 * SECOND) -> None:
        self.pool = Pool(PoolKey(0, 0, STEP), GPU, EntitySettings(warm_up="1m", sample=256, trees=4), 1)
        self.pool.admit(7)
        self.rows, self.pause, self.now = rows, pause, HOUR
        self.noise = np.random.default_rng(1)

    def row(self, at: int, fault: float) -> Floats:
        load = 1.0 if at else 0.5  # the first is partly of the time before
        row = np.linspace(10, 80, WIDTH) * (load + 0.02 * self.noise.normal(size=WIDTH))
        row[:6] += fault
        return np.asarray(row)[None]

    def burst(self, fault: float = 0.0) -> list[float]:
        """The state score of each of its rows."""
        self.now += self.pause
        told: list[Told] = []
        for at in range(self.rows):
            self.now += STEP
            told.append(self.pool.step(ONE, self.row(at, fault), np.array([self.now])))
        if self.pool.ensemble.due():
            self.pool.ensemble.adopt(self.pool.ensemble.job()())
        return [float(one.state[0]) for one in told]

    def warm(self) -> None:
        for _ in range(40):
            self.burst()


@pytest.fixture
def bursts() -> Bursts:
    found = Bursts()
    found.warm()
    return found


def test_all_but_the_first_rows_of_a_burst_have_scores(bursts: Bursts) -> None:
    for _ in range(10):
        said = bursts.burst()
        assert np.isnan(said).tolist() == [True, True, False, False]
        assert max(said[2:]) < 1


def test_a_fault_is_seen_in_the_second_burst_that_has_it(bursts: Bursts) -> None:
    first, second = bursts.burst(150.0), bursts.burst(150.0)
    assert first[2] < second[2], "it goes on where it was"
    assert max(second[2:]) > 1
    bursts.burst()
    bursts.burst()
    assert max(bursts.burst()[2:]) < 1


def test_the_rows_of_before_are_no_past_of_those_after(bursts: Bursts) -> None:
    bursts.burst()
    bursts.now += bursts.pause + STEP
    bursts.pool.step(ONE, bursts.row(0, 0.0), np.array([bursts.now]))
    ring = bursts.pool.ensemble._baseline.ring[0]
    assert (ring == ring[0]).all()


def test_one_that_was_away_for_long_is_judged_when_its_lags_are_of_now(bursts: Bursts) -> None:
    bursts.burst(150.0)
    bursts.burst(150.0)
    bursts.now += HOUR
    bursts.rows = RING + 4
    said = bursts.burst()
    assert np.isnan(said).tolist() == [True] * RING + [False] * 4
    assert max(said[RING:]) < 1, "what was an hour ago is over"
