"""What judging entities as a whole costs: GPUs, a row each a second, from the window to the written scores.

Run as `python -m bench.entities [gpus] [ticks]`. One process. Beside it, on the same rows, what others do in
the same time: scikit-learn's IsolationForest asked at every tick, and river's HalfSpaceTrees, which scores
and learns one row at a time (on a part of the rows, for it is slow).
"""

from __future__ import annotations

import platform
import sys
import time

import numpy as np

from detectors.engine import Scoring
from detectors.entity.settings import EntitySettings
from detectors.entity.state import StateDetector
from detectors.entity.tables.gpu import GPU
from detectors.settings import DetectorSettings
from model.labels import Labels
from model.moment import DAY, SECOND
from telemetry.bits import Floats, Ints
from telemetry.settings import WindowLimits
from telemetry.window import Target, Window

START = 1_700_000_000_000
METRICS = [feature.above[0].metric for feature in GPU][:16]
WARM = 70
"""Ticks before the first score: 60 of warm-up, and the fit."""
_ROWS_OF_RIVER = 4000
_KIB = 1024


class Fleet:
    """Nodes of eight GPUs, scraped once a second; the same load on all, and noise."""

    def __init__(self, gpus: int) -> None:
        settings = DetectorSettings(
            entities=EntitySettings.model_validate({"warm_up": "1m"}), moment_interval="1s", moment_grace="0s"
        )
        self.window = Window(retention=120 * SECOND, limits=WindowLimits(series=2_000_000, memory=4 << 30))
        self.scoring = Scoring(self.window, settings)
        self.targets = [self._node(node, min(8, gpus - 8 * node)) for node in range(-(-gpus // 8))]
        self.level = np.linspace(10, 2000, len(METRICS))
        self.random = np.random.default_rng(1)
        self.tick = 0

    def _node(self, node: int, gpus: int) -> tuple[Target, Ints]:
        target = self.window.target(f"n{node}", SECOND)
        ids = [
            self.window.series(
                target,
                Labels({"__name__": name, "UUID": f"GPU-{node}-{gpu}", "Hostname": f"n{node}"}),
                "gauge",
            )
            for gpu in range(gpus)
            for name in METRICS
        ]
        return target, np.array(ids)

    def rows(self) -> Floats:
        """[series], the values of a tick."""
        count = sum(len(ids) for _, ids in self.targets) // len(METRICS)
        load = 1 + 0.3 * np.sin(self.tick / 5)
        return np.asarray(self.level * (load + 0.02 * self.random.normal(size=(count, len(METRICS)))))

    def scrape(self) -> Floats:
        """One tick's samples into the window."""
        self.tick += 1
        now = START + self.tick * SECOND
        self.window.advance(now)
        rows = self.rows()
        flat, start = rows.reshape(-1), 0
        for target, ids in self.targets:
            self.window.append(target, now, ids, flat[start : start + len(ids)])
            start += len(ids)
        return rows


class Meter:
    """CPU seconds of one function of an object, while it is called by others."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def around(self, owner: object, name: str) -> None:
        inner = getattr(owner, name)

        def timed(*args: object) -> object:
            began = time.process_time()
            try:
                return inner(*args)
            finally:
                self.seconds += time.process_time() - began

        setattr(owner, name, timed)


def ours(gpus: int, ticks: int) -> tuple[Floats, float]:
    """Print our cost; returns the rows of the last tick and the CPU seconds a tick."""
    fleet = Fleet(gpus)
    (state,) = (each for each in fleet.scoring.detectors if isinstance(each, StateDetector))
    lanes = {lane.detector.name: lane for lane in fleet.scoring._lanes}
    meters = {name: Meter() for name in ("step", "write", "fit")}
    meters["step"].around(state, "step")
    for name in ("state", "change"):
        meters["write"].around(lanes[name], "write")
    meters["fit"].around(fleet.scoring.jobs, "take")
    rows = np.empty(0)
    for tick in range(WARM + ticks):
        rows = fleet.scrape()
        if tick == WARM:
            fit = meters["fit"].seconds
            meters["step"].seconds = meters["write"].seconds = 0.0
        fleet.scoring.step(START + fleet.tick * SECOND)
    (pool,) = state.pools
    step, write = (meters[name].seconds / ticks for name in ("step", "write"))
    a_day = fit * DAY / pool.ensemble.settings.refit / (DAY / SECOND)
    models = pool.ensemble.models
    assert models is not None
    shared = sum(array.nbytes for array in models.arrays().values())
    print(f"{gpus} GPUs x {len(METRICS)} features, a row each a second, {ticks} ticks, {platform.machine()}")
    print(f"gather and judge  {1e3 * step:8.1f} CPU ms a tick")
    print(f"write scores      {1e3 * write:8.1f} CPU ms a tick")
    print(f"fits              {fit:8.2f} CPU s so far; one a day: {100 * a_day:.4f} % of a core")
    print(f"together          {100 * (step + write + a_day):8.1f} % of a core")
    print(f"memory            {pool.bytes / _KIB / gpus:8.2f} KiB a GPU, models {shared / _KIB / gpus:.2f}")
    scored = int((~np.isnan(pool.scores[: pool.size, 0])).sum())
    print(f"GPUs with scores  {scored:8d}, above 1: {int((pool.scores[: pool.size, 0] > 1).sum())}")
    return rows, step


def forest(rows: Floats) -> float:
    """scikit-learn's isolation forest, asked at a tick; CPU seconds, without the fit."""
    from sklearn.ensemble import IsolationForest

    model = IsolationForest(n_estimators=64, max_samples=256, random_state=0, n_jobs=1).fit(rows[:4096])
    began = time.process_time()
    for _ in range(3):
        model.score_samples(rows)
    return (time.process_time() - began) / 3


def half_space_trees(rows: Floats) -> float:
    """river's: score and learn, row by row; CPU seconds for as many rows as a tick has."""
    from river.anomaly import HalfSpaceTrees

    model = HalfSpaceTrees(n_trees=10, height=8, window_size=250, seed=0)
    least, most = rows.min(axis=0), rows.max(axis=0)
    scaled = (rows - least) / np.maximum(most - least, 1e-9)
    part = [dict(enumerate(row)) for row in scaled[:_ROWS_OF_RIVER].tolist()]
    began = time.process_time()
    for row in part:
        model.score_one(row)  # type: ignore[no-untyped-call]
        model.learn_one(row)  # type: ignore[no-untyped-call]
    return (time.process_time() - began) * len(rows) / len(part)


def main(gpus: int = 8000, ticks: int = 30) -> None:
    """Print it all."""
    rows, _ = ours(gpus, ticks)
    print(f"scikit-learn IsolationForest, score only      {100 * forest(rows):8.1f} % of a core")
    print(f"river HalfSpaceTrees (10), score and learn    {100 * half_space_trees(rows):8.1f} % of a core")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
