"""The streams through both, and through ours with each stage left out: the tables and their figures."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from analyzer.central import CentralSettings
from analyzer.simulation import History, read_history
from analyzer.simulation.ablation import SWITCHES
from bench.alerts import replay
from bench.alerts.score import Score, Summary, score, sum_up
from bench.alerts.streams import write
from model.moment import SECOND

OURS_WAIT = 5.0
"""group_wait of Fleetowl's default configuration, seconds."""
SLACK = 5.0
FACTOR = 60.0
ABLATED = 40
"""At most about so many streams are run again for each stage."""

Scores = dict[str, Score]


def read(folder: Path | None, seed: int) -> dict[str, History]:
    """The streams of a folder, or generated ones."""
    if folder is not None:
        found = sorted(path for path in folder.iterdir() if path.suffix in (".jsonl", ".json", ".ndjson"))
        return {path.stem: read_history(path) for path in found}
    with tempfile.TemporaryDirectory(prefix="bench-streams-") as place:
        write(Path(place), (1, 8, 50, 200), ("own", "foreign"), seed)
        return read(Path(place), seed)


def ours(histories: dict[str, History], off: Iterable[str] = ()) -> tuple[Scores, list[str]]:
    """The scores, and the streams of which two faults met in one incident."""
    scores: Scores = {}
    met = []
    for name, history in histories.items():
        result = replay.through_fleetowl(history, tuple(off))
        scores[name] = score(history, replay.messages_of(result))
        if replay.merged(result):
            met.append(name)
    return scores, met


def theirs(histories: dict[str, History], factor: float) -> Scores:
    """The scores of the real Alertmanager."""
    found = asyncio.run(replay.through_alertmanager(histories, factor))
    return {name: score(history, found[name]) for name, history in histories.items()}


def bench(folder: Path | None, seed: int, factor: float, peer: bool, ablation: bool) -> dict[str, Any]:
    """Print the tables; the figures by name."""
    histories = read(folder, seed)
    own_wait, their_wait = _waits()
    mine, met = ours(histories)
    bounds = {"Fleetowl": own_wait + SLACK, "Alertmanager": their_wait + SLACK}
    sides: dict[str, Scores] = {"Fleetowl": mine}
    if peer:
        sides["Alertmanager"] = theirs(histories, factor)
    pairs = sum(len(one.faults) > 1 for one in mine.values())
    print(f"streams: {len(histories)}, {sum(len(one.faults) for one in mine.values())} faults")
    print(f"  Fleetowl: its default configuration, group_wait {own_wait:g} s, in virtual time")
    if peer:
        tolerance = 0.02 * factor
        print(
            f"  Alertmanager: bench/alerts/alertmanager.yml, group_wait {their_wait:g} s, real, "
            f"{factor:g} times as fast (delays within {tolerance:.1f} s)"
        )
    for title, key in (("by scale and dialect", _scale), ("by scenario", _scenario)):
        print(f"\n  {title}")
        _table(sides, bounds, key)
    figures: dict[str, Any] = {}
    for side, scores in sides.items():
        found = sum_up(scores.items(), bounds[side])
        figures |= {f"streams_{side.lower()}_{name}": value for name, value in vars(found).items()}
        _sentences(side, found, bounds[side])
    examples = f": {', '.join(met[:6])}" if met else ""
    print(f"  two faults in one incident: {len(met)} of {pairs} streams{examples}")
    figures["streams_fleetowl_two_faults_in_one_incident"] = len(met)
    for side, scores in sides.items():
        for name, fault in _unheard(scores):
            print(f"  {side} told nobody of {fault} in {name}")
    if ablation:
        figures |= _ablate(histories, bounds["Fleetowl"])
    return figures


def _waits() -> tuple[float, float]:
    wait = CentralSettings().alertmanager.route.group_wait
    return (OURS_WAIT if wait is None else wait / SECOND), replay.group_wait(replay.best())


_HEAD = (
    f"{'faults':>7}{'notified':>10}{'most':>6}{'>2':>5}{'unheard':>9}{'first s':>9}{'worst s':>9}{'late':>6}"
)


def _table(sides: dict[str, Scores], bounds: dict[str, float], key: Callable[[str, Score], str]) -> None:
    print(f"  {'':34}{_HEAD}{'reduced':>9}")
    rows = dict.fromkeys(key(name, one) for name, one in next(iter(sides.values())).items())
    for row in sorted(rows):
        for side, scores in sides.items():
            chosen = [(name, one) for name, one in scores.items() if key(name, one) == row]
            print(f"  {row:20}{side:14}{_cells(sum_up(chosen, bounds[side]))}")


def _cells(found: Summary) -> str:
    return (
        f"{found.faults:7}{found.mean_all:10.2f}{found.most_all:6}{found.over_two:5}{found.unheard:9}"
        f"{found.median_delay:9.1f}{found.worst_delay:9.1f}{found.late:6}{found.reduction:9.1%}"
    )


def _scale(name: str, one: Score) -> str:
    """Of our own names (SCALE-SCENARIO-DIALECT); other people's streams are one row."""
    parts = name.split("-")
    return f"{parts[0]} nodes, {parts[-1]}" if len(parts) > 2 and parts[0].isdigit() else "all"


def _scenario(name: str, one: Score) -> str:
    parts = name.split("-")
    return "-".join(parts[1:-1])[:19] if len(parts) > 2 and parts[0].isdigit() else name[:19]


def _sentences(side: str, found: Summary, bound: float) -> None:
    print(
        f"\n  {side}: {found.mean_all:.2f} notifications per fault ({found.mean_firing:.2f} firing), "
        f"{found.over_two} of {found.faults} faults above 2, {found.unheard} faults unheard of, "
        f"{found.late} first pages later than {bound:g} s"
    )
    print(f"    most: {', '.join(found.worst)}")


def _unheard(scores: Scores) -> Iterator[tuple[str, str]]:
    for name, one in scores.items():
        for fault in one.faults:
            if fault.first is None:
                yield name, fault.fault


def _ablate(histories: dict[str, History], bound: float) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    step = max(1, len(histories) // ABLATED)
    histories = dict(sorted(histories.items(), key=lambda pair: len(pair[1].lines))[::step])
    print(f"\n  each stage left out (Fleetowl, {len(histories)} of the streams)")
    print(f"  {'':34}{_HEAD}{'reduced':>9}")
    for switch in ("", *SWITCHES):
        scores, _ = ours(histories, (switch,) if switch else ())
        found = sum_up(scores.items(), bound)
        print(f"  {('without ' + switch) if switch else 'all stages':34}{_cells(found)}")
        if switch:
            key = f"ablation_{switch.replace(' ', '_')}"
            figures[f"{key}_notifications_per_fault"] = found.mean_all
            figures[f"{key}_unheard"] = found.unheard
    return figures
