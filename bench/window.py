"""What a tick costs at 100k series: the scatter of all scrapes, the detectors, and what rules read.

Run as `python -m bench.window [series] [targets]`. One process, one core; the figures are those of this host.
"""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from detectors.engine import Scoring
from model.labels import Labels
from model.matcher import Matcher, Op
from model.moment import SECOND
from telemetry.bits import Floats, Ints
from telemetry.settings import WindowLimits
from telemetry.snapshot import freeze, write
from telemetry.window import Target, Window

INTERVAL = 15 * SECOND
START = 1_700_000_000_000
TICKS = 90

Batches = list[tuple[Target, Ints]]


class Clock:
    """Wall and CPU seconds of what runs inside."""

    def __init__(self) -> None:
        self.wall: list[float] = []
        self.cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall.append(time.perf_counter() - wall)
        self.cpu += time.process_time() - cpu

    def show(self, name: str, count: int) -> None:
        median, worst = float(np.median(self.wall)), max(self.wall)
        rate = count / median / 1e6
        print(
            f"{name:<12}{median * 1e3:9.2f} ms median {worst * 1e3:9.2f} ms worst"
            f" {self.cpu:8.3f} CPU s in {len(self.wall)} {rate:9.1f} M/s"
        )


def fill(window: Window, series: int, targets: int) -> Batches:
    """`targets` nodes with the same metric names; a third of the series are counters."""
    return [fill_node(window, str(node), series // targets) for node in range(targets)]


def fill_node(window: Window, node: str, series: int) -> tuple[Target, Ints]:
    target = window.target(node, INTERVAL)
    ids = []
    for k in range(series):
        counter = k // 8 % 3 == 0
        name = f"metric_{k // 8}{'_total' * counter}"
        labels = Labels({"__name__": name, "node": node, "gpu": str(k % 8)})
        ids.append(window.series(target, labels, "counter" if counter else "gauge"))
    return target, np.array(ids)


def scrape(window: Window, batches: Batches, now: int, values: list[Floats]) -> None:
    for place, ((target, ids), value) in enumerate(zip(batches, values, strict=True)):
        window.append(target, now + place, ids, value)


def read(window: Window, now: int) -> int:
    """One metric over all targets, as a rule reads it: the head and five minutes. Returns its series."""
    found = window.select([Matcher("__name__", Op.EQUAL, "metric_1")])
    for selection in found:
        selection.instant(now, 300 * SECOND)
        selection.range(now - 300 * SECOND, now)
    return sum(len(selection) for selection in found)


def main(series: int = 100_000, targets: int = 100) -> None:
    window, random = Window(limits=WindowLimits()), np.random.default_rng(1)
    scoring = Scoring(window)
    clocks = {
        name: Clock() for name in ("new series", "scatter", "detectors", "head", "rule", "freeze", "write")
    }
    with clocks["new series"].running():
        batches = fill(window, series, targets)
    base = [np.arange(len(ids), dtype=np.float64) for _, ids in batches]
    everything, selected = np.arange(window.size), 0
    for tick in range(TICKS):
        now = START + tick * INTERVAL
        window.advance(now)
        values = [numbers + tick * 10 + random.random(len(numbers)) for numbers in base]
        with clocks["scatter"].running():
            scrape(window, batches, now, values)
        with clocks["detectors"].running():
            scoring.step(now)
        with clocks["head"].running():
            window.last(everything)
        with clocks["rule"].running():
            selected = read(window, now)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            with clocks["freeze"].running():
                frozen = freeze(window, now)
                frozen.add("detectors", scoring.snapshot())
            with clocks["write"].running():
                write(frozen, Path(folder, "window"))
            del frozen  # as between two snapshots: the copy is gone before the next one
    show(window, clocks, selected)


def show(window: Window, clocks: dict[str, Clock], selected: int) -> None:
    count, targets = window.series_count, len(window.registry.targets)
    print(f"{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}, one process")
    print(f"{count} series of {targets} targets, {window.bytes / count:.0f} B each for 15 min at 15 s")
    for name, clock in clocks.items():
        clock.show(name, selected if name == "rule" else count)
    tick = [clocks[name] for name in ("scatter", "detectors", "head")]
    wall, cpu = sum(float(np.median(clock.wall)) for clock in tick), sum(clock.cpu for clock in tick)
    print(
        f"tick (scatter, detectors, head): {wall * 1e3:.2f} ms;"
        f" {cpu / TICKS / count * 1e6:.4f} CPU s per M samples"
    )


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
