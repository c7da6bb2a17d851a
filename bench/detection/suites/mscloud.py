"""The suite `mscloud`: single series of a cloud's monitoring with a label for each row, by group."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from bench.detection import subjects
from bench.detection.labelled.series import mscloud
from bench.detection.scorers.events import THRESHOLD, Tally, tally, together
from bench.detection.scorers.nab import Judged
from bench.detection.scorers.vus import vus_pr
from bench.detection.suites.nab import judge_all
from bench.detection.table import Cell, Figures, key, mean, number, show, spread


def run(data: Path, seeds: list[int], jobs: int) -> Figures:
    """Print the tables; the figures are `mscloud_vus_pr`, `mscloud_event_f1` and so on, and by group."""
    series = mscloud(data)
    judged = judge_all(series, (subjects.LEVEL, *subjects.SERIES_RIVALS, *subjects.CONTROLS), seeds, jobs)
    figures: Figures = {}
    show(
        f"mscloud: means over {len(series)} series, threshold {THRESHOLD:g} fixed",
        ("detector", "VUS-PR", "F1", "recall", "precision", "false/day"),
        [_row(name, runs, figures) for name, runs in judged.items()],
    )
    groups: dict[str, list[Judged]] = defaultdict(list)
    for one in judged[subjects.LEVEL][0]:
        groups[one.series.group].append(one)
    show(
        f"mscloud by group: {subjects.LEVEL}, threshold {THRESHOLD:g} fixed",
        ("group", "series", "events", "VUS-PR", "F1", "recall", "precision", "delay s", "false/day"),
        [_group(name, groups[name], figures) for name in sorted(groups)],
    )
    return figures


def _tally(one: Judged) -> Tally:
    return tally(one.series.times, one.series.labels, one.scores)


def _volume(one: Judged) -> float:
    return vus_pr(one.series.labels, one.scores)


def _row(name: str, runs: list[list[Judged]], figures: Figures) -> list[Cell]:
    by_seed = [[_tally(one) for one in judged] for judged in runs]
    columns = {
        "vus_pr": [mean(map(_volume, judged)) for judged in runs],
        "event_f1": [mean(one.f1 for one in tallies) for tallies in by_seed],
        "event_recall": [mean(one.recall for one in tallies) for tallies in by_seed],
        "event_precision": [mean(one.precision for one in tallies) for tallies in by_seed],
        "false_per_day": [mean(one.false_per_day for one in tallies) for tallies in by_seed],
    }
    prefix = "mscloud" if name == subjects.LEVEL else key("mscloud", name)
    for column, values in columns.items():
        figures[f"{prefix}_{column}"] = number(mean(values))
    return [name, *(spread(values) for values in columns.values())]


def _group(name: str, judged: list[Judged], figures: Figures) -> list[Cell]:
    found = together(map(_tally, judged))
    volume = mean(map(_volume, judged))
    figures[key("mscloud_group", name, "vus_pr")] = number(volume)
    figures[key("mscloud_group", name, "event_f1")] = number(found.f1)
    counts = (found.f1, found.recall, found.precision, found.delay, found.false_per_day)
    return [name, len(judged), found.events, volume, *counts]
