"""The suites `smd` and `asd`: machines with many metrics each, by machine and by detector."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

import numpy as np

from bench.detection import subjects
from bench.detection.labelled.machines import Machine, machines
from bench.detection.scorers.events import THRESHOLD, Tally, oracle, tally, together
from bench.detection.scorers.vus import vus_pr
from bench.detection.subjects import OverMachine, machine_scores
from bench.detection.table import Cell, Figures, key, mean, number, show, spread
from bench.detection.workers import spread_over
from telemetry.bits import Floats, Ints

BUDGET = 1.0
"""False alarms a machine-day: what the entity models are configured for, and the oracle's limit."""
Runs = dict[str, list[list[Floats]]]
"""By detector, by seed, by machine: the scores of the test rows."""


def smd(data: Path, seeds: list[int], jobs: int) -> Figures:
    """Server machines at one minute."""
    return run("smd", machines(data, "smd"), seeds, jobs)


def asd(data: Path, seeds: list[int], jobs: int) -> Figures:
    """Application servers at five minutes."""
    return run("asd", machines(data, "asd"), seeds, jobs)


def run(suite: str, found: list[Machine], seeds: list[int], jobs: int) -> Figures:
    """Print the tables; the figures are `<suite>_vus_pr`, `<suite>_event_f1` and so on, and by machine.

    VUS-PR is that of the state score, events are those of the change score at a
    budget of BUDGET.
    """
    runs = score_all(found, seeds, jobs)
    figures: Figures = {}
    show(
        f"{suite} by machine: {subjects.ENTITY}, threshold {THRESHOLD:g}, {len(seeds)} seeds: mean (range)",
        ("machine", "events", "VUS-PR", "F1", "recall", "precision", "delay s", "false/day"),
        [_machine(suite, place, found, runs, figures) for place in range(len(found))],
    )
    show(
        f"{suite}: means over {len(found)} machines; oracle: threshold picked on the scored data, "
        f"at most {BUDGET:g} false a day",
        ("detector", "VUS-PR", "F1", "recall", "precision", "false/day", "F1 pooled", "oracle F1"),
        [_detector(suite, name, found, runs[name], figures) for name in runs],
    )
    return figures


def score_all(found: list[Machine], seeds: list[int], jobs: int) -> Runs:
    """Every subject on every machine; what has no chance in it, and the slow rivals, with the first seed."""
    names = (subjects.ENTITY, subjects.SEVERAL, *subjects.MACHINE_RIVALS, *subjects.CONTROLS)
    pieces = [
        OverMachine(name, machine, seed, BUDGET)
        for name in names
        for seed in (seeds if name in (subjects.ENTITY, subjects.RANDOM) else seeds[:1])
        for machine in found
    ]
    runs: dict[str, dict[int, list[Floats]]] = defaultdict(lambda: defaultdict(list))
    for piece, scores in zip(pieces, spread_over(machine_scores, pieces, jobs), strict=True):
        for name, column in scores.items():
            runs[name][piece.seed].append(column)
    return {name: list(by_seed.values()) for name, by_seed in runs.items()}


def _times(machine: Machine) -> Ints:
    return np.arange(len(machine.test), dtype=np.int64) * machine.interval


def _tally(machine: Machine, scores: Floats) -> Tally:
    return tally(_times(machine), machine.labels, scores)


def _machine(suite: str, place: int, found: list[Machine], runs: Runs, figures: Figures) -> list[Cell]:
    machine = found[place]
    volumes = [vus_pr(machine.labels, scores[place]) for scores in runs[subjects.STATE]]
    tallies = [_tally(machine, scores[place]) for scores in runs[subjects.ENTITY]]
    figures[key(suite, "machine", machine.name, "vus_pr")] = number(mean(volumes))
    figures[key(suite, "machine", machine.name, "event_f1")] = number(mean(one.f1 for one in tallies))
    return [
        machine.name,
        len(machine.events),
        spread(volumes),
        spread(one.f1 for one in tallies),
        spread(one.recall for one in tallies),
        mean(one.precision for one in tallies),
        mean(one.delay for one in tallies),
        spread(one.false_per_day for one in tallies),
    ]


def _detector(
    suite: str, name: str, found: list[Machine], seeds: list[list[Floats]], figures: Figures
) -> list[Cell]:
    volumes = [mean(map(vus_pr, (one.labels for one in found), scores)) for scores in seeds]
    by_seed = [[_tally(*pair) for pair in zip(found, scores, strict=True)] for scores in seeds]
    columns = {
        "event_f1": [mean(one.f1 for one in tallies) for tallies in by_seed],
        "event_recall": [mean(one.recall for one in tallies) for tallies in by_seed],
        "event_precision": [mean(one.precision for one in tallies) for tallies in by_seed],
        "false_per_day": [mean(one.false_per_day for one in tallies) for tallies in by_seed],
        "event_f1_pooled": [together(tallies).f1 for tallies in by_seed],
        "event_f1_oracle": [_oracle(found, scores) for scores in seeds],
    }
    prefix = suite if name == subjects.ENTITY else key(suite, name)
    for column, values in columns.items():
        figures[f"{prefix}_{column}"] = number(mean(values))
    if name == subjects.ENTITY:
        figures[f"{suite}_event_delay_seconds"] = number(mean(one.delay for seed in by_seed for one in seed))
    if name in (subjects.STATE, subjects.ENTITY):
        prefix = suite if name == subjects.STATE else key(suite, name)
    figures[f"{prefix}_vus_pr"] = number(mean(volumes))
    return [name, spread(volumes), *(spread(values) for values in columns.values())]


def _oracle(found: list[Machine], scores: list[Floats]) -> float:
    if not any(machine.events for machine in found):
        return math.nan
    entities = [(_times(one), one.labels, column) for one, column in zip(found, scores, strict=True)]
    return oracle(entities, BUDGET)[1].f1
