"""The suite `nab`: NAB's official score of each detector, by profile and by folder."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from bench.detection import rivals, subjects
from bench.detection.labelled.series import Series, nab
from bench.detection.scorers import nab as official
from bench.detection.scorers.vus import vus_pr
from bench.detection.subjects import OverSeries, series_scores
from bench.detection.table import Cell, Figures, key, mean, number, show, spread
from bench.detection.workers import spread_over
from telemetry.bits import Floats

THRESHOLD = 1.0
"""The committed one, of the product's settings: a score above 1 is anomalous, in each profile."""
EVERY_ROW = f"{subjects.LEVEL}, every row"
GATE = 24
"""Rows: an excursion is one detection until it is higher than in so many rows before."""
Runs = list[list[official.Judged]]
HEADER = (
    *("detector", "standard", "low_fp", "low_fn", "standard*", "low_fp*", "low_fn*"),
    *("windows", "false/day"),
)


def run(data: Path, seeds: list[int], jobs: int) -> Figures:
    """Print the tables; figures are `nab_<profile>`, `nab_<profile>_optimised` and by folder."""
    series = nab(data)
    raw = judge_all(series, (subjects.LEVEL, *subjects.SERIES_RIVALS, *subjects.CONTROLS), seeds, jobs)
    told = {name: runs if name in subjects.CONTROLS else _through(onsets, runs) for name, runs in raw.items()}
    high = {name: runs if name in subjects.CONTROLS else _through(highs, runs) for name, runs in raw.items()}
    told[EVERY_ROW] = high[EVERY_ROW] = raw[subjects.LEVEL]
    figures: Figures = {}
    rows = [_row(name, runs, high[name], figures) for name, runs in told.items()]
    windows = sum(len(official.scored_windows(one)) for one in series)
    show(
        f"nab: {len(series)} series, {windows} windows; threshold {THRESHOLD:g}; * picked on the scored data",
        HEADER,
        rows,
    )
    show(
        f"nab by folder: {subjects.LEVEL}, threshold {THRESHOLD:g}",
        ("folder", "series", "windows", "standard", "low_fp", "low_fn", "hit", "false/day", "VUS-PR"),
        _folders(told[subjects.LEVEL][0], raw[subjects.LEVEL][0], figures),
    )
    return figures


def onsets(scores: Floats, threshold: float = THRESHOLD) -> Floats:
    """Each excursion above the threshold once, at its first row; 0 elsewhere.

    NAB counts every row of an excursion, a rule tells of it once, and so does who enters NAB. All detectors
    pass this one gate; what they are without it stands in a row of its own.

    >>> onsets(np.array([0.0, 2.0, 3.0, 1.0, 3.0])).tolist()
    [0.0, 2.0, 0.0, 0.0, 3.0]
    """
    known = np.nan_to_num(scores)
    above = known > threshold
    above[1:] &= known[:-1] <= threshold
    return np.where(above, known, 0.0)


def highs(scores: Floats) -> Floats:
    """Only what is higher than all of the last 24 rows: the same without a threshold, to pick one on."""
    padded = np.concatenate([np.full(GATE, -np.inf), np.nan_to_num(scores)])
    before = np.lib.stride_tricks.sliding_window_view(padded[:-1], GATE).max(axis=1)
    return np.where(scores > before, scores, np.where(np.isnan(scores), np.nan, 0.0))


def _through(gate: Callable[[Floats], Floats], runs: Runs) -> Runs:
    return [[official.Judged(one.series, gate(one.scores)) for one in judged] for judged in runs]


def judge_all(
    series: list[Series], names: tuple[str, ...], seeds: list[int], jobs: int
) -> dict[str, list[list[official.Judged]]]:
    """By detector one run a seed, each with all series; what has no chance in it runs once."""
    pieces = [
        OverSeries(name, one, seed)
        for name in names
        for seed in (seeds if _seeded(name) else seeds[:1])
        for one in series
    ]
    results = spread_over(series_scores, pieces, jobs)
    runs: dict[str, dict[int, list[official.Judged]]] = defaultdict(lambda: defaultdict(list))
    for piece, scores in zip(pieces, results, strict=True):
        for name, column in scores.items():
            runs[name][piece.seed].append(official.Judged(piece.series, column))
    return {name: list(by_seed.values()) for name, by_seed in runs.items()}


def _seeded(name: str) -> bool:
    return name == subjects.RANDOM or name.split()[-1] in rivals.SEEDED


def _row(name: str, runs: Runs, high: Runs, figures: Figures) -> list[Cell]:
    fixed: dict[str, list[float]] = defaultdict(list)
    best: dict[str, list[float]] = defaultdict(list)
    for judged, free in zip(runs, high, strict=True):
        for profile in official.PROFILES:
            fixed[profile.name].append(official.score(judged, profile, THRESHOLD))
            best[profile.name].append(official.optimised(free, profile)[0])
    prefix = "nab" if name == subjects.LEVEL else key("nab", name)
    for profile in official.PROFILES:
        figures[f"{prefix}_{profile.name}"] = number(mean(fixed[profile.name]))
        figures[f"{prefix}_{profile.name}_optimised"] = number(mean(best[profile.name]))
    hits = [sum(official.hits(one, THRESHOLD) for one in judged) for judged in runs]
    figures[f"{prefix}_windows_hit"] = number(mean(map(float, hits)))
    false = mean(map(_false_per_day, runs))
    figures[f"{prefix}_false_per_day"] = number(false)
    return [
        name,
        *(spread(fixed[profile.name]) for profile in official.PROFILES),
        *(spread(best[profile.name]) for profile in official.PROFILES),
        mean(map(float, hits)),
        false,
    ]


def _false_per_day(judged: list[official.Judged]) -> float:
    """Alarm rows outside windows for each series-day behind the probation."""
    days = sum(_quiet_days(one.series) for one in judged)
    return sum(official.false_alarms(one, THRESHOLD) for one in judged) / days if days else math.nan


def _quiet_days(series: Series) -> float:
    rows = len(series.times)
    scored = int((~series.labels[official.probation(rows) :]).sum())
    return series.days * scored / rows


def _folders(judged: list[official.Judged], raw: list[official.Judged], figures: Figures) -> list[list[Cell]]:
    folders: dict[str, list[official.Judged]] = defaultdict(list)
    volumes: dict[str, list[float]] = defaultdict(list)
    for one, whole in zip(judged, raw, strict=True):
        folders[one.series.group].append(one)
        volumes[one.series.group].append(_volume(whole.series, whole.scores))
    return [_folder(name, folders[name], mean(volumes[name]), figures) for name in sorted(folders)]


def _folder(name: str, judged: list[official.Judged], volume: float, figures: Figures) -> list[Cell]:
    scores = [official.score(judged, profile, THRESHOLD) for profile in official.PROFILES]
    figures[key("nab_folder", name, "standard")] = number(scores[0])
    windows = sum(len(official.scored_windows(one.series)) for one in judged)
    hit = sum(official.hits(one, THRESHOLD) for one in judged)
    return [name, len(judged), windows, *scores, hit, _false_per_day(judged), volume]


def _volume(series: Series, scores: Floats) -> float:
    return vus_pr(series.labels, scores)
