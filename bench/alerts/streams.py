"""Streams of alerts with the true fault of each, as a Prometheus would send them.

    python -m bench.alerts.streams --out DIR [--seed 1] [--scales 1,8,50,200] [--dialects own,foreign]

One file a scenario: JSON lines `{"at": "2027-...Z", "alert": {labels, annotations, startsAt, endsAt},
"fault": "G01-1" | null}`, in the order of time: each alert when it begins, every minute while it fires, and
when it has ended. What belongs to no fault is noise: alerts of P3 about other things, one that flaps, and the
Watchdog.
The same seed gives the same bytes.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.alerts import fleet as fleets
from bench.alerts.dialects import DIALECTS, Dialect, Words
from bench.alerts.faults import Sign
from bench.alerts.fleet import Fleet
from bench.alerts.scenarios import SCALES, Fault, scenarios

START = 1_800_000_000.0
"""Of every stream: 2027-01-15T08:00:00Z."""
EVALUATION = 15.0
RESEND = 60.0
ENDS_AFTER = 240.0
"""Prometheus says of a firing alert that it ends so long after, unless it says it again."""
RESOLVED_RESENDS = 3
LEAD = 120.0
"""Of noise alone, before the first fault."""
TRAIL = 480.0


@dataclass
class Told:
    """One alert: its labels, and from when to when it fires (s since the epoch)."""

    labels: Words
    begins: float
    ends: float
    fault: str | None


def alerts_of(fleet: Fleet, faults: Iterable[Fault], dialect: Dialect, chance: random.Random) -> list[Told]:
    """What the faults and the noise raise; the same alert of two faults is the first one's."""
    found: dict[tuple[tuple[str, str], ...], Told] = {}
    over = 0.0
    for fault in faults:
        onset = START + LEAD + fault.onset
        repaired = onset + chance.uniform(*fault.kind.lasts)
        for told in _signs(fault, onset, repaired, fleet, dialect, chance):
            key = tuple(sorted(told.labels.items()))
            known = found.setdefault(key, told)
            if told.begins < known.begins:
                known.fault = told.fault
            known.begins, known.ends = min(known.begins, told.begins), max(known.ends, told.ends)
            over = max(over, known.ends)
    return [*found.values(), *_noise(fleet, dialect, over + TRAIL, chance, set(found))]


def _signs(
    fault: Fault, onset: float, repaired: float, fleet: Fleet, dialect: Dialect, chance: random.Random
) -> Iterator[Told]:
    for sign in fault.kind.signs(fleet, fault.target):
        begins, ends = _times(sign, onset, repaired, dialect, chance)
        if ends > begins:
            for labels in dialect.say(sign.name, sign.of):
                yield Told(labels, begins, ends, fault.id)


def _times(
    sign: Sign, onset: float, repaired: float, dialect: Dialect, chance: random.Random
) -> tuple[float, float]:
    """Both on the beat of the rules; groups of rules are evaluated at different moments of it."""
    phase = (sum(map(ord, sign.name)) * 0.37) % EVALUATION
    wait = dialect.wait.get(sign.name, 0)
    begins = onset + wait + chance.uniform(*sign.begins)
    ends = max(begins + 2 * EVALUATION, repaired + wait / 4 + chance.uniform(*sign.clears))
    return tuple(START + -(-(at - START - phase) // EVALUATION) * EVALUATION + phase for at in (begins, ends))  # type: ignore[return-value]


def _noise(
    fleet: Fleet, dialect: Dialect, until: float, chance: random.Random, taken: set[Any]
) -> Iterator[Told]:
    def told(sign: str, of: Any, begins: float, ends: float) -> Iterator[Told]:
        for labels in dialect.say(sign, of):
            if tuple(sorted(labels.items())) not in taken:
                yield Told(labels, begins, ends, None)

    yield from told("watchdog", None, START, until)
    count = max(1, len(fleet.nodes) // 25)
    for node in chance.sample(fleet.nodes, count):
        begins = START + chance.uniform(0, LEAD + 300)
        yield from told("disk filling", node, begins, until)
    for replica in chance.sample(fleet.replicas, count):
        begins = START + chance.uniform(LEAD, LEAD + 600)
        yield from told("aim missed", replica, begins, begins + chance.uniform(300, 900))
    for node in chance.sample(fleet.nodes, count):
        yield from told("gpu wasted", chance.choice(node.gpus), START + chance.uniform(0, 60), until)
    flapping, at = chance.choice(fleet.nodes), START + 30.0
    while at < until - 200:
        lasts = chance.uniform(45, 90)
        yield from told("network errors", flapping, at, at + lasts)
        at += lasts + chance.uniform(60, 120)


def lines(alerts: Iterable[Told]) -> Iterator[dict[str, Any]]:
    """The stream, in the order of time."""
    sends = (list(_sends(told, number)) for number, told in enumerate(alerts))
    for at, number, told, ends in heapq.merge(*sends):
        yield {
            "at": rfc3339(at),
            "alert": {
                "labels": told.labels,
                "annotations": {"summary": f"{told.labels['alertname']} ({number})"},
                "startsAt": rfc3339(told.begins),
                "endsAt": rfc3339(ends),
            },
            "fault": told.fault,
        }


def _sends(told: Told, number: int) -> Iterator[tuple[float, int, Told, float]]:
    at = told.begins
    while at < told.ends:
        yield at, number, told, at + ENDS_AFTER
        at += RESEND
    for again in range(RESOLVED_RESENDS):
        yield told.ends + again * RESEND, number, told, told.ends


def rfc3339(seconds: float) -> str:
    """To the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def generate(
    scales: Iterable[int], dialects: Iterable[str], seed: int
) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Every stream by its name: SCALE-SCENARIO-DIALECT."""
    wanted = [dialect for dialect in DIALECTS if dialect.name in dialects]
    for scale in scales:
        fleet = fleets.build(scale, seed)
        for name, faults in scenarios(fleet, seed):
            for dialect in wanted:
                chance = random.Random(f"{scale} {name} {dialect.name} {seed}")
                yield f"{scale:03d}-{name}-{dialect.name}", lines(alerts_of(fleet, faults, dialect, chance))


def write(folder: Path, scales: Iterable[int], dialects: Iterable[str], seed: int) -> int:
    """Write every stream into `folder`; how many they are."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    for name, stream in generate(scales, dialects, seed):
        with (folder / f"{name}.jsonl").open("w") as file:
            file.writelines(json.dumps(line) + "\n" for line in stream)
        count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.alerts.streams",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--scales", default=",".join(map(str, SCALES)), help="nodes of each fleet")
    parser.add_argument("--dialects", default="own,foreign")
    asked = parser.parse_args()
    scales = [int(scale) for scale in asked.scales.split(",")]
    count = write(asked.out, scales, asked.dialects.split(","), asked.seed)
    print(f"{count} streams in {asked.out}")


if __name__ == "__main__":
    main()
