"""The suite `nab`: NAB's official score of each detector, by profile and by folder."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

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
HEADER = (
    *("detector", "standard", "low_fp", "low_fn", "standard*", "low_fp*", "low_fn*"),
    *("windows", "false/day"),
)


def run(data: Path, seeds: list[int], jobs: int) -> Figures:
    """Print the tables; figures are `nab_<profile>`, `nab_<profile>_optimised` and by folder."""
    series = nab(data)
    judged = judge_all(series, (subjects.LEVEL, *subjects.SERIES_RIVALS, *subjects.CONTROLS), seeds, jobs)
    figures: Figures = {}
    rows = [_row(name, runs, figures) for name, runs in judged.items()]
    windows = sum(len(official.scored_windows(one)) for one in series)
    show(
        f"nab: {len(series)} series, {windows} windows; threshold {THRESHOLD:g}; * picked on the scored data",
        HEADER,
        rows,
    )
    show(
        f"nab by folder: {subjects.LEVEL}, threshold {THRESHOLD:g}",
        ("folder", "series", "windows", "standard", "low_fp", "low_fn", "hit", "false/day", "VUS-PR"),
        _folders(judged[subjects.LEVEL][0], figures),
    )
    return figures


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


def _row(name: str, runs: list[list[official.Judged]], figures: Figures) -> list[Cell]:
    fixed: dict[str, list[float]] = defaultdict(list)
    best: dict[str, list[float]] = defaultdict(list)
    for judged in runs:
        for profile in official.PROFILES:
            fixed[profile.name].append(official.score(judged, profile, THRESHOLD))
            best[profile.name].append(official.optimised(judged, profile)[0])
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


def _folders(judged: list[official.Judged], figures: Figures) -> list[list[Cell]]:
    folders: dict[str, list[official.Judged]] = defaultdict(list)
    for one in judged:
        folders[one.series.group].append(one)
    return [_folder(name, folders[name], figures) for name in sorted(folders)]


def _folder(name: str, judged: list[official.Judged], figures: Figures) -> list[Cell]:
    scores = [official.score(judged, profile, THRESHOLD) for profile in official.PROFILES]
    figures[key("nab_folder", name, "standard")] = number(scores[0])
    windows = sum(len(official.scored_windows(one.series)) for one in judged)
    hit = sum(official.hits(one, THRESHOLD) for one in judged)
    volume = mean(_volume(one.series, one.scores) for one in judged)
    return [name, len(judged), windows, *scores, hit, _false_per_day(judged), volume]


def _volume(series: Series, scores: Floats) -> float:
    return vus_pr(series.labels, scores)
