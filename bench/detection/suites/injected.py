"""The suite `injected`: faults put into real background, judged by what would alert, by kind of fault."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.detection import rivals, subjects
from bench.detection.alerting import alerting
from bench.detection.controls import constant_alarm, random_scores
from bench.detection.injection.background import HISTORY, INTERVAL, Group
from bench.detection.injection.episodes import NONE, PER_GROUP, ROWS, Episode, drawn
from bench.detection.injection.faults import KINDS
from bench.detection.injection.verdict import Total, Verdict, total, verdict
from bench.detection.injection.watch import Seen, watch
from bench.detection.labelled.machines import machines
from bench.detection.labelled.source import BadData
from bench.detection.table import Cell, Figures, key, number, show, spread
from bench.detection.workers import spread_over
from telemetry.bits import Flags, Floats

GROUPS = 4
"""Of each seed, from each data set in turn."""
SHIPPED = "fleetowl"
RIVALS = ("HBOS", "ECOD")
BACKGROUNDS = ("smd", "asd")


class Piece(NamedTuple):
    """One group with its episodes; a piece of work."""

    group: Group
    episodes: list[Episode]
    seed: int


class Told(NamedTuple):
    """What one way to alert made of one episode."""

    way: str
    origin: str
    seed: int
    verdict: Verdict


def run(data: Path, seeds: list[int], jobs: int) -> Figures:
    """Print the tables; the figures are `injected_recall`, `_precision`, `_delay_seconds`, and by kind."""
    backgrounds = {name: machines(data, name) for name in BACKGROUNDS}
    pieces = [Piece(*one, seed) for seed in seeds for one in drawn(backgrounds, GROUPS, seed)]
    if not pieces:
        wanted = f"a machine with {HISTORY + PER_GROUP * ROWS} rows in train of which four metrics move"
        raise BadData(data / BACKGROUNDS[0], "no background for faults", wanted)
    told = [one for found in spread_over(judge, pieces, jobs) for one in found]
    figures: Figures = {}
    shipped = [one for one in told if one.way == SHIPPED]
    healthy = sum(one.verdict.kind == NONE for one in shipped)
    show(
        f"injected: {len(shipped)} episodes, {healthy} without a fault, rows as 5 s; mean (range) of seeds",
        ("way to alert", "recall", "precision", "delay s", *KINDS, "false alerts"),
        [_way(way, told, seeds, figures) for way in dict.fromkeys(one.way for one in told)],
    )
    show(
        f"injected by kind of fault: {SHIPPED}",
        ("fault", "episodes", "recall", "delay s", "slowest s", "false alerts"),
        [_kind(kind, shipped, figures) for kind in (*KINDS, NONE)],
    )
    show(
        f"injected by background: {SHIPPED}",
        ("background", "episodes", "recall", "precision", "delay s"),
        [_origin(origin, shipped, figures) for origin in sorted({one.origin for one in shipped})],
    )
    return figures


def judge(piece: Piece) -> list[Told]:
    """Every way to alert over every episode of a group."""
    told = []
    for episode, seen in zip(piece.episodes, watch(*piece), strict=True):
        for way, flags in _ways(piece, episode, seen).items():
            told.append(Told(way, piece.group.origin, piece.seed, verdict(episode, flags)))
    return told


def _ways(piece: Piece, episode: Episode, seen: Seen) -> dict[str, Flags]:
    """By way to alert the flags `[rows, members]`."""
    rows, members, width = episode.values.shape
    ways = {
        SHIPPED: _flags(seen.change, seen.deviations, None),
        "change only": _flags(seen.change, None, None),
        "peers only": _flags(None, seen.deviations, None),
        "series only": _flags(None, None, seen.series),
        "with a third of the series": _flags(seen.change, seen.deviations, seen.series),
    }
    history = piece.group.values[: piece.group.history].reshape(-1, width)
    for rival in RIVALS:
        scores = rivals.over_machine(rival, history, episode.values.reshape(-1, width), piece.seed)
        ways[rivals.name_of(rival)] = scores.reshape(rows, members) > 1.0
    chance = random_scores(rows * members, INTERVAL, piece.seed * 1000 + episode.begin)
    ways[subjects.RANDOM] = chance.reshape(rows, members) > 1.0
    ways[subjects.CONSTANT] = constant_alarm(rows * members).reshape(rows, members) > 1.0
    return ways


def _flags(change: Floats | None, deviations: Floats | None, series: Floats | None) -> Flags:
    parts = (change, deviations, series)
    members = next(part.shape[1] for part in parts if part is not None)
    columns = [
        alerting(INTERVAL, *(None if part is None else part[:, member] for part in parts))
        for member in range(members)
    ]
    return np.stack(columns, axis=1)


def _way(way: str, told: list[Told], seeds: list[int], figures: Figures) -> list[Cell]:
    own = [one for one in told if one.way == way]
    by_seed = [_total(one for one in own if one.seed == seed) for seed in seeds]
    everything = _total(own)
    prefix = "injected" if way == SHIPPED else key("injected", way)
    columns = {
        "recall": [one.recall for one in by_seed],
        "precision": [one.precision for one in by_seed],
        "delay_seconds": [one.delay for one in by_seed],
    }
    figures[f"{prefix}_recall"] = number(everything.recall)
    figures[f"{prefix}_precision"] = number(everything.precision)
    figures[f"{prefix}_delay_seconds"] = number(everything.delay)
    kinds = [_total(one for one in own if one.verdict.kind == kind).recall for kind in KINDS]
    return [way, *(spread(values) for values in columns.values()), *kinds, everything.false]


def _kind(kind: str, shipped: list[Told], figures: Figures) -> list[Cell]:
    own = [one for one in shipped if one.verdict.kind == kind]
    found = _total(own)
    if kind != NONE:
        figures[f"injected_{kind}_recall"] = number(found.recall)
        figures[f"injected_{kind}_delay_seconds"] = number(found.delay)
    return [kind, len(own), found.recall, found.delay, max(found.delays, default=np.nan), found.false]


def _origin(origin: str, shipped: list[Told], figures: Figures) -> list[Cell]:
    own = [one for one in shipped if one.origin == origin]
    found = _total(own)
    figures[key("injected_background", origin, "recall")] = number(found.recall)
    figures[key("injected_background", origin, "precision")] = number(found.precision)
    return [origin, len(own), found.recall, found.precision, found.delay]


def _total(told: Iterable[Told]) -> Total:
    return total(one.verdict for one in told)
