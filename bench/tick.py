"""The whole tick at 100,000 series: scores, rules, incidents, notifications, state on disk.

    python -m bench.tick [--nodes 1000] [--series 100000]

The fleet is that of bench.rules, alive: each second a fifth of the nodes is scraped (a 5 s interval),
then the pipeline ticks. The parts that have a peer are measured beside it in bench.codec.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from statistics import mean, median

import numpy as np

from analyzer.assembly import assemble, prepare
from analyzer.central import CentralSettings
from analyzer.pipeline import Pipeline
from bench.rules import INTERVAL, START, series_of
from model.moment import SECOND
from model.settings import load_section
from telemetry.window import Target, Window

SECONDS = 45
WARM = 15


def fill(window: Window, nodes: int, series: int) -> list[tuple[Target, np.ndarray]]:
    """One target a node with its series."""
    plain = len(series_of(0, 0))
    found = []
    for node in range(nodes):
        target = window.target(f"node/{node}", INTERVAL)
        rows = series_of(node, max(0, series // nodes - plain))
        found.append((target, np.array([window.series(target, labels) for labels in rows])))
    return found


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--series", type=int, default=100_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        own = {"analyzer": {"listen": "127.0.0.1:0", "state_directory": folder}}
        pipeline = assemble(prepare(load_section(CentralSettings, own, "bench")), START)
        measure(pipeline, fill(pipeline.window, asked.nodes, asked.series))


def measure(pipeline: Pipeline, targets: list[tuple[Target, np.ndarray]]) -> None:
    """Live for SECONDS of virtual time; the first WARM are not counted."""
    chance = np.random.default_rng(7)
    ticks: list[float] = []
    writes: list[float] = []
    steps: dict[str, list[float]] = {}
    for second in range(SECONDS):
        now = START + second * SECOND
        pipeline.window.advance(now)
        due = targets[second % 5 :: 5]
        values = [calm(ids, second, chance) for _, ids in due]
        writes.append(timed(lambda: [pipeline.window.append(t, now, i, v) for (t, i), v in zip(due, values)]))  # noqa: B023,B905
        ticks.append(timed(lambda: pipeline.step(now)))  # noqa: B023
        for sample in pipeline.tick.samples():
            if sample.name == "fleetowl_tick_step_seconds":
                steps.setdefault(sample.labels["step"], []).append(sample.value)
    print(f"{pipeline.window.series_count} series of {len(targets)} targets, a fifth scraped each second")
    print(f"  writing the samples   {median(writes[WARM:]) * 1000:7.1f} ms CPU a second (median)")
    for name, found in steps.items():
        print(f"  step {name:16} {median(found[WARM:]) * 1000:7.1f} ms")
    counted = [tick * 1000 for tick in ticks[WARM:]]
    print(f"  whole tick            {median(counted):7.1f} ms CPU (median)")
    print(f"                        {mean(counted):7.1f} mean, {max(counted):.1f} worst: every 5 s all rules")
    print(f"  first tick            {ticks[0] * 1000:7.1f} ms CPU")
    print(f"  alerts firing         {len(pipeline.alerts)}")


def calm(ids: np.ndarray, second: int, chance: np.random.Generator) -> np.ndarray:
    """Values that move a little and alarm nobody: small, growing and positive."""
    return second + chance.random(len(ids))


def timed(work: Callable[[], object]) -> float:
    """CPU seconds of `work`."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
