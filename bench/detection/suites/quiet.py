"""The suite `quiet`: what is raised on stretches in which nothing is labelled.

Single series: NAB's and the cloud's rows outside events and further than an hour or twelve rows from one,
and each metric of the machines' train part. Entities: the second half of each machine's train part, after
models that learned from the first. Rows without a score (warm-up) are not counted as time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.detection import subjects
from bench.detection.alerting import alerting
from bench.detection.labelled.machines import Machine, machines
from bench.detection.labelled.series import Series, mscloud, nab
from bench.detection.scorers.events import alarms
from bench.detection.subjects import (
    OverMachine,
    OverSeries,
    machine_scores,
    metric_evidence,
    metric_scores,
    series_scores,
)
from bench.detection.table import Cell, Figures, mean, number, show
from bench.detection.workers import spread_over
from model.moment import DAY, HOUR
from telemetry.bits import Flags, Floats

MARGIN_ROWS = 12
SERIES_AIM = 0.05
"""Scores above 1 for each series-day."""
ENTITY_AIM = 0.02
"""Alerts of the shipped rules for each entity-day."""


class Raised(NamedTuple):
    """Of one series: rows above 1, how many stretches they are, and the days that were judged."""

    rows: int
    onsets: int
    days: float


def run(data: Path, seeds: list[int], jobs: int) -> Figures:
    """Print both tables; the figures are `quiet_<data set>_scores_per_series_day` and `..._alerts_...`."""
    figures: Figures = {}
    raised = {
        "nab": _of_series(nab(data), jobs),
        "mscloud": _of_series(mscloud(data), jobs),
        "smd train": _of_metrics(machines(data, "smd"), jobs),
        "asd train": _of_metrics(machines(data, "asd"), jobs),
    }
    show(
        f"quiet series: {subjects.LEVEL}, scores above 1; aim at most {SERIES_AIM:g} a series-day",
        ("data", "series", "series-days", "stretches/day", "rows/day", "worst/day"),
        [_series_row(name, found, figures) for name, found in raised.items()],
    )
    show(
        f"quiet entities: alerts of the shipped rules; aim at most {ENTITY_AIM:g} an entity-day",
        (
            "data",
            "entities",
            "entity-days",
            "alerts/day",
            "by a third of the series",
            "worst/day",
        ),
        [_entity_row(name, machines(data, name), seeds, jobs, figures) for name in ("smd", "asd")],
    )
    return figures


def quiet_rows(series: Series) -> Flags:
    """Rows further from any event than an hour or twelve rows, whichever is more, `[n]`."""
    margin = max(MARGIN_ROWS, -(-HOUR // series.interval))
    quiet = np.ones(len(series.times), bool)
    for first, last in series.events:
        quiet[max(first - margin, 0) : last + 1 + margin] = False
    return quiet


def raised_in(scores: Floats, quiet: Flags, interval: int) -> Raised:
    """Count in the rows that are quiet and have a score.

    >>> raised_in(np.array([np.nan, 2, 2, 0, 2, 9]), np.array([1, 1, 1, 1, 1, 0], bool), 21_600_000)
    Raised(rows=3, onsets=2, days=1.0)
    """
    high = np.nan_to_num(scores) > 1.0
    begins = high & ~np.concatenate([[False], high[:-1]])
    judged = quiet & ~np.isnan(scores)
    return Raised(
        int((high & judged).sum()), int((begins & judged).sum()), int(judged.sum()) * interval / DAY
    )


def _of_series(series: list[Series], jobs: int) -> list[Raised]:
    pieces = [OverSeries(subjects.LEVEL, one, 0) for one in series]
    scores = [found[subjects.LEVEL] for found in spread_over(series_scores, pieces, jobs)]
    return [
        raised_in(column, quiet_rows(one), one.interval) for one, column in zip(series, scores, strict=True)
    ]


def _of_metrics(found: list[Machine], jobs: int) -> list[Raised]:
    learned = [replace(one, test=one.train[:0], labels=one.labels[:0]) for one in found]
    return [
        raised_in(column, np.ones(len(column), bool), machine.interval)
        for machine, scores in zip(found, spread_over(metric_scores, learned, jobs), strict=True)
        for column in scores.T
    ]


def _series_row(name: str, found: list[Raised], figures: Figures) -> list[Cell]:
    days = sum(one.days for one in found)
    onsets = sum(one.onsets for one in found) / days if days else np.nan
    rows = sum(one.rows for one in found) / days if days else np.nan
    prefix = f"quiet_{name.split()[0]}"
    figures[f"{prefix}_scores_per_series_day"] = number(onsets)
    figures[f"{prefix}_rows_per_series_day"] = number(rows)
    worst = max((one.onsets / one.days for one in found if one.days), default=np.nan)
    return [name, len(found), days, onsets, rows, worst]


def _halved(machine: Machine) -> Machine:
    half = len(machine.train) // 2
    return replace(
        machine,
        train=machine.train[:half],
        test=machine.train[half:],
        labels=np.zeros(len(machine.train) - half, bool),
    )


def _entity_row(name: str, found: list[Machine], seeds: list[int], jobs: int, figures: Figures) -> list[Cell]:
    halves = [_halved(one) for one in found]
    days = sum(len(one.test) * one.interval for one in halves) / DAY
    pieces = [OverMachine(subjects.ENTITY, one, seed) for seed in seeds for one in halves]
    scored = spread_over(machine_scores, pieces, jobs)
    series = [
        scores[len(one.train) :]
        for one, scores in zip(halves, spread_over(metric_evidence, halves, jobs), strict=True)
    ]
    change = [one[subjects.ENTITY] for one in scored]
    count = len(halves)
    alerts = [_alerts(halves[k % count], change[k], None) for k in range(len(pieces))]
    several = [_alerts(one, None, series[k]) for k, one in enumerate(halves)]
    rate: Callable[[list[int]], float] = lambda counts: sum(counts) / days / (len(counts) / count)  # noqa: E731
    figures[f"quiet_{name}_alerts_per_entity_day"] = number(rate(alerts))
    own = [len(one.test) * one.interval / DAY for one in halves]
    worst = max(mean(map(float, alerts[k::count])) / own[k] for k in range(count))
    return [f"{name} train", count, days, rate(alerts), rate(several), worst]


def _alerts(machine: Machine, change: Floats | None, series: Floats | None) -> int:
    """Alerts an hour or more apart: the rules' alerts stay up for as long."""
    alert = alerting(machine.interval, change, series=series)
    times = np.arange(len(alert), dtype=np.int64) * machine.interval
    return len(alarms(times, alert.astype(np.float64), 0.5))
