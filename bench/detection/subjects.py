"""What is judged: the product's detectors, each of their parts alone, rivals, and controls.

The one file that knows the product's entry points. A subject maps arrays to scores, of which more than 1 is
anomalous by the product's own convention; nothing here may look at a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.detection import rivals
from bench.detection.alerting import several
from bench.detection.controls import constant_alarm, random_scores
from bench.detection.labelled.machines import Machine
from bench.detection.labelled.series import Series
from bench.detection.scorers.nab import probation
from detectors.streaming.recipe import Scores
from telemetry.bits import Floats

LEVEL = "fleetowl level"
CUSUM = "fleetowl cusum"
ENTITY = "fleetowl entity"
"""Its change score, on which the shipped rules alert."""
STATE = "fleetowl state"
SEVERAL = "fleetowl 3 series"
"""The streaming detector (level and cusum) over each metric; the third highest score."""
RANDOM = "control: random"
CONSTANT = "control: constant"
CONTROLS = (RANDOM, CONSTANT)
SERIES_RIVALS = ("river GaussianScorer", "river HalfSpaceTrees", "pyod HBOS", "pyod ECOD", "pyod IForest")
MACHINE_RIVALS = (
    *("river HalfSpaceTrees", "river OneClassSVM"),
    *("pyod ECOD", "pyod HBOS", "pyod COPOD", "pyod PCA", "pyod IForest"),
)


@dataclass(frozen=True)
class OverSeries:
    """One subject on one series with one seed; a piece of work."""

    subject: str
    series: Series
    seed: int


@dataclass(frozen=True)
class OverMachine:
    """One subject on one machine with one seed; a piece of work."""

    subject: str
    machine: Machine
    seed: int
    budget: float | None = None
    """False alarms a day that the entity models are configured for; None for the default."""


def series_scores(piece: OverSeries) -> dict[str, Floats]:
    """Scores `[n]` of one series by the name of who gave them."""
    series = piece.series
    rows = len(series.times)
    if piece.subject == LEVEL:
        from detectors.streaming.recipe import run

        scores = run(series.times, series.values)
        return {LEVEL: scores.score, CUSUM: scores.change}
    if piece.subject == RANDOM:
        return {RANDOM: random_scores(rows, series.interval, piece.seed)}
    if piece.subject == CONSTANT:
        return {CONSTANT: constant_alarm(rows)}
    rival = piece.subject.split()[1]
    scores_ = rivals.over_series(rival, series.values, max(probation(rows), 2 * rivals.LAGS), piece.seed)
    return {piece.subject: scores_}


def machine_scores(piece: OverMachine) -> dict[str, Floats]:
    """Scores `[m]` of the test rows of one machine by the name of who gave them."""
    machine = piece.machine
    rows = len(machine.test)
    if piece.subject == ENTITY:
        return _entity(machine, piece.seed, piece.budget)
    if piece.subject == SEVERAL:
        return {SEVERAL: several(metric_evidence(machine)[len(machine.train) :], machine.interval)}
    if piece.subject == RANDOM:
        return {RANDOM: random_scores(rows, machine.interval, piece.seed)}
    if piece.subject == CONSTANT:
        return {CONSTANT: constant_alarm(rows)}
    rival = piece.subject.split()[1]
    return {piece.subject: rivals.over_machine(rival, machine.train, machine.test, piece.seed)}


def _entity(machine: Machine, seed: int, budget: float | None) -> dict[str, Floats]:
    from detectors.entity.models.fit import MODELS
    from detectors.entity.models.replay import replay
    from detectors.entity.settings import EntitySettings

    settings = EntitySettings() if budget is None else EntitySettings(budget=budget)
    found = replay(machine.train, machine.test, machine.interval, settings, seed)
    scores = {ENTITY: found.change, STATE: found.state}
    return scores | {f"model {name}": depth for name, depth in zip(MODELS, found.depths.T, strict=True)}


def metric_scores(machine: Machine) -> Floats:
    """`level` over each metric of a machine, train and test in a row, `[n + m, d]`."""
    return np.stack([one.score for one in _recipe(machine)], axis=1)


def metric_evidence(machine: Machine) -> Floats:
    """The higher one of `level` and `cusum`, as `metric_scores`."""
    return np.stack([np.fmax(one.score, one.change) for one in _recipe(machine)], axis=1)


def _recipe(machine: Machine) -> list[Scores]:
    from detectors.streaming.recipe import run

    rows = np.concatenate([machine.train, machine.test])
    times = np.arange(len(rows)) * machine.interval
    return [run(times, column) for column in rows.T]
