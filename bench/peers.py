"""The comparison with peers: its speed, and what it finds of stragglers injected into real load.

Run as `python -m bench.peers [--data DIR]`. DIR is the parent of smd/: its rows are the load that eight
synthetic GPUs share, replayed as 5 s; each has its own gain, offset and noise. One process, one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.contract import Moment
from detectors.peers.detector import PeerDetector
from model.labels import Labels
from telemetry.bits import Floats, Ints
from telemetry.window import Window

STEP = 5_000
START = 1_700_000_000_000
METRIC = "DCGM_FI_DEV_POWER_USAGE"
HOUR = 720  # moments
DAY = 24 * HOUR


class Groups:
    """A detector that watches groups of synthetic GPUs, without the window's samples."""

    def __init__(self, groups: int, members: int) -> None:
        window = Window()
        target = window.target("gpus", STEP)
        for number in range(groups * members):
            labels = {
                "__name__": METRIC,
                "UUID": str(number),
                "pod": f"p-{number // members}",
                "modelName": "H100",
            }
            window.series(target, Labels(labels), "gauge")
        self.detector = PeerDetector()
        self.detector.demand(window, METRIC)

    def step(self, tick: int, values: Floats) -> tuple[Ints, Floats]:
        at = START + tick * STEP
        results = self.detector.step(Moment(at, np.full(len(values), at), values))
        return results.subjects, results.values[:, 0]


def speed(groups: int = 12_500, members: int = 8, rounds: int = 20) -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(500, 10, (4, groups * members))
    fleet = Groups(groups, members)
    fleet.step(0, values[0])
    spent = []
    for tick in range(1, rounds):
        start = time.perf_counter()
        fleet.step(tick, values[tick % 4])
        spent.append(time.perf_counter() - start)
    shaped = values[0].reshape(groups, members)
    whole = _time(lambda: _median_mad(shaped))
    some = shaped[:500]
    loop = _time(lambda: [_median_mad(row[None]) for row in some]) * groups / len(some)
    count = groups * members / 1e6
    print(f"{groups} groups of {members}, million values a second")
    print(
        f"  peer detector, all of it       {count / min(spent):8.1f} ({count / np.median(spent):.1f} median)"
    )
    print(f"  np.median and MAD alone        {count / whole:8.1f}")
    print(f"  the same, a call a group       {count / loop:8.2f}")
    print(f"  state {fleet.detector.bytes / (groups * members):.0f} B a series")


def _median_mad(values: Floats) -> Floats:
    middle = np.median(values, axis=1, keepdims=True)
    mad = np.median(np.abs(values - middle), axis=1, keepdims=True)
    return (values - middle) / (1.4826 * mad + 1e-9)


def _time(work: object) -> float:
    assert callable(work)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@dataclass
class Found:
    """Counts over episodes."""

    faults: int = 0
    seen: int = 0
    alarms: int = 0
    false: int = 0
    days: float = 0.0  # of series, without a fault
    delays: tuple[int, ...] = ()

    def row(self) -> str:
        precision = self.seen / max(self.seen + self.false, 1)
        delay = 5 * float(np.median(self.delays)) if self.delays else float("nan")
        rate, recall = self.false / max(self.days, 1e-9), self.seen / max(self.faults, 1)
        return (
            f"recall {recall:5.2f} precision {precision:5.2f} median delay {delay:5.0f} s"
            f" false {self.false:4d} = {rate:.3f} a series-day over {self.days:.0f}"
        )


def loads(data: Path) -> Iterator[Floats]:
    """Columns of the train files that move, scaled to 0-1."""
    for path in sorted((data / "smd").glob("*.npz")):
        train = np.load(path)["train"]
        spread = train.std(axis=0)
        for column in np.argsort(-spread)[:4]:
            low, high = np.quantile(train[:, column], (0.01, 0.99))
            yield np.clip((train[:, column] - low) / max(high - low, 1e-9), 0, 1)


def group(load: Floats, members: int, noise: float, rng: np.random.Generator) -> Floats:
    """[moments, members]: idle power, a part for the load, own gain and offset, own correlated noise."""
    gain = rng.normal(1, 0.03, members)
    offset = rng.normal(0, 0.04, members)
    shocks = rng.normal(0, 1, (len(load), members))
    slow = np.zeros(members)
    drift = np.empty_like(shocks)
    for tick, shock in enumerate(shocks):
        slow = 0.9 * slow + np.sqrt(1 - 0.81) * shock
        drift[tick] = slow
    wobble = noise * (0.8 * rng.normal(0, 1, shocks.shape) + 0.6 * drift)
    return 100.0 + (100.0 + 500.0 * load[:, None]) * (gain + offset + wobble)


def judge(values: Floats, fault: tuple[int, int, int] | None, found: Found) -> None:
    """One group over its time; a fault is (member, begin, end). Alarms within ten minutes are one."""
    fleet = Groups(1, values.shape[1])
    scores = np.zeros(values.shape)
    for tick, row in enumerate(values):
        subjects, told = fleet.step(tick, row)
        scores[tick, subjects] = np.nan_to_num(told)
    high = np.abs(scores) > 1
    if fault:
        member, begin, end = fault
        found.faults += 1
        hits = np.flatnonzero(high[begin:end, member])
        if len(hits):
            found.seen += 1
            found.delays = (*found.delays, int(hits[0]))
        high[begin : end + 120, member] = False
    for column in high.T:
        at = np.flatnonzero(column)
        found.false += int((np.diff(at, prepend=-(10**9)) > 120).sum())
    found.days += values.size / DAY


def quality(data: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    backgrounds = list(loads(data))
    for members in (3, 4, 8):
        for noise in (0.01, 0.03, 0.06):
            half = (Found(), Found())
            for number, load in enumerate(backgrounds):
                for factor in (0.6, 0.7, 0.85, None):
                    begin = int(rng.integers(0, len(load) - 3 * HOUR))
                    values = group(load[begin : begin + 3 * HOUR], members, noise, rng)
                    fault = None
                    if factor:
                        member, at = int(rng.integers(members)), int(rng.integers(HOUR, 2 * HOUR))
                        fault = member, at, at + HOUR // 2
                        values[at : at + HOUR // 2, member] *= factor
                    judge(values, fault, half[number // 4 % 2])
            for name, found in zip(("even", "odd"), half, strict=True):
                print(f"  {members} members, noise {noise:.2f}, {name:>4} machines: {found.row()}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    speed()
    if chosen.data:
        quality(chosen.data, chosen.seed)


if __name__ == "__main__":
    main()
