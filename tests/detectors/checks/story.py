"""One story that every detector is told: four GPUs, an engine and a host over some minutes, with variations.

All detectors run in it at once; what each has said is read from the window, as a rule would read it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from detectors import restarts
from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, PEER_DEVIATION, SCORE, TREND_ETA
from detectors.engine import Scoring
from detectors.settings import DetectorSettings
from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.bits import Floats
from telemetry.snapshot import freeze, thaw
from telemetry.window import Window

START = 1_700_000_100_000
STEP = 5_000
TICKS = 220
FAULT = 180
"""From this tick on, GPU 3 is hot, weak and slow, and memory leaks faster."""
RESULTS = (SCORE, EXPECTED_LOW, EXPECTED_HIGH, PEER_DEVIATION, TREND_ETA, "fleetowl_anomaly_contribution")
GPU = {"job": "dcgm", "instance": "n1:9400", "Hostname": "n1", "modelName": "H100", "pod": "llama-0"}
ENGINE = {"job": "vllm", "instance": "n1:8000", "engine": "0", "model_name": "llama"}
HOST = {"job": "node", "instance": "n1:9100", "node": "n1"}
USUAL: dict[str, tuple[float, float, float]] = {
    # Level, what the load adds, noise.
    "DCGM_FI_DEV_GPU_TEMP": (40, 25, 0.7),
    "DCGM_FI_DEV_POWER_USAGE": (110, 420, 9),
    "DCGM_FI_DEV_SM_CLOCK": (1500, 300, 12),
    "DCGM_FI_DEV_GPU_UTIL": (5, 90, 3),
    "DCGM_FI_DEV_MEM_COPY_UTIL": (3, 55, 3),
    "DCGM_FI_DEV_MEMORY_TEMP": (45, 30, 0.8),
    "DCGM_FI_DEV_FB_USED": (60_000, 900, 40),
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": (0.05, 0.55, 0.02),
    "vllm:num_requests_running": (4, 20, 1),
    "vllm:generation_tokens_total": (300, 1500, 60),  # a second
    "node_load1": (3, 14, 0.5),
    "node_memory_MemAvailable_bytes": (6e9, -5e8, 2e7),
}
ILL = {
    "DCGM_FI_DEV_GPU_TEMP": 14.0,
    "DCGM_FI_DEV_POWER_USAGE": -160.0,
    "DCGM_FI_DEV_SM_CLOCK": -500.0,
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE": -0.25,
    "node_load1": 30.0,
}
LEAK = -2.5e6
"""Bytes of memory a second, all the time: it is gone within the hour."""

Key = tuple[str, str, str, tuple[tuple[str, str], ...]]
"""Detector, result, metric, and the other labels."""
History = Mapping[Key, list[tuple[int, float]]]


@dataclass(frozen=True)
class Variation:
    """How a telling differs from the plain one."""

    ticks: int = TICKS
    cadence: int = 1  # scrapes between two steps
    reverse: bool = False  # the series are made in the other order
    restart_at: tuple[int, ...] = ()
    compact_at: tuple[int, ...] = ()
    constant: bool = False
    gaps: bool = False
    odd_values: bool = False
    reset_at: int = -1
    restarted_at: int = -1  # everything: GPUs, engine and host
    fault: bool = True


PLAIN = Variation()


def kinds() -> list[tuple[dict[str, str], list[str]]]:
    """The labels of each thing and its metrics."""
    gpus = [({**GPU, "gpu": str(gpu), "UUID": f"GPU-{gpu}"}, "DCGM_") for gpu in range(4)]
    things = [*gpus, (ENGINE, "vllm:"), (HOST, "node_")]
    return [(labels, [name for name in USUAL if name.startswith(start)]) for labels, start in things]


@lru_cache(maxsize=1)
def _noise() -> Floats:
    """[ticks, series], the same in every telling."""
    return np.random.default_rng(7).normal(size=(3 * TICKS, 64))


class Telling:
    """The story in one variation, with the detectors of `settings`."""

    def __init__(self, settings: DetectorSettings, variation: Variation) -> None:
        self.settings, self.variation = settings, variation
        self.window = Window(retention=3 * TICKS * STEP)
        self.scoring = self._scoring()
        self.totals: dict[Labels, float] = {}
        self.grown: list[int] = []
        self._ids: dict[tuple[str, str, str], int] = {}
        things = kinds()
        for labels, names in reversed(things) if variation.reverse else things:
            for name in reversed(names) if variation.reverse else names:
                self._id(labels, name)

    def tell(self) -> History:
        """All of it; what the detectors have said."""
        variation = self.variation
        for tick in range(variation.ticks):
            now = START + tick * STEP
            self.window.advance(now)
            self._scrape(tick, now)
            if tick == variation.restarted_at:  # what tells of a restart has tests of its own
                self.scoring._cleaning.restarts.pending[:] = restarts.JUDGED | restarts.PLAIN
            if tick % variation.cadence == variation.cadence - 1:
                self.scoring.step(now)
            if tick in variation.restart_at:
                self._restart(now)
            if tick in variation.compact_at:
                self._compact(tick, now)
            if tick % 60 == 59:
                self.grown.append(sum(detector.bytes for detector in self.scoring.detectors))
        end = START + variation.ticks * STEP
        self.scoring.step(end + 60_000)
        return self._said()

    def _scoring(self) -> Scoring:
        scoring = Scoring(self.window, self.settings)
        for name in USUAL:
            scoring.demand(name)
        return scoring

    def _id(self, labels: Mapping[str, str], name: str) -> int:
        key = labels["instance"], labels.get("gpu", ""), name
        if key not in self._ids:
            target = self.window.target(labels["instance"], STEP)
            kind = "counter" if name.endswith("_total") else "gauge"
            self._ids[key] = self.window.series(target, Labels({"__name__": name, **labels}), kind)
        return self._ids[key]

    def _scrape(self, tick: int, now: int) -> None:
        column = 0
        for labels, names in kinds():
            ids, values = [], []
            for name in names:
                value = self._value(tick, column, labels, name)
                column += 1
                if self.variation.gaps and _gap(tick, column):
                    continue
                ids.append(self._id(labels, name))
                values.append(value)
            if ids:
                target = self.window.target(labels["instance"], STEP)
                self.window.append(target, now, np.array(ids), np.array(values))

    def _value(self, tick: int, column: int, labels: Mapping[str, str], name: str) -> float:
        base, load, noise = USUAL[name]
        busy = 0.5 + 0.35 * np.sin(tick / 19) + 0.1 * np.sin(tick / 3.7)
        value = base + load * busy + noise * _noise()[tick, column]
        if self.variation.constant:
            value = base
        elif name == "node_memory_MemAvailable_bytes":
            value += LEAK * tick * STEP / 1000
        if self.variation.fault and tick >= FAULT and labels.get("gpu", "3") == "3":
            value += ILL.get(name, 0.0)
        if self.variation.odd_values and tick % 37 == column % 37:
            value = (1e300, -1e300, np.nan, np.inf, -np.inf, 5e-324, -0.0)[column % 7]
        if name.endswith("_total"):
            return self._total(tick, Labels({"__name__": name, **labels}), value)
        return float(value)

    def _total(self, tick: int, key: Labels, rate: float) -> float:
        if tick == self.variation.reset_at:
            self.totals[key] = 0.0
        if np.isfinite(rate) and 0 <= rate < 1e12:
            self.totals[key] = self.totals.get(key, 1e6) + rate * STEP / 1000
        return self.totals.get(key, 1e6)

    def _restart(self, now: int) -> None:
        frozen = freeze(self.window, now)
        frozen.add("detectors", self.scoring.snapshot())
        self.window = thaw(frozen)
        self._ids.clear()
        self.scoring = Scoring(self.window, self.settings)
        said = self.scoring.restore(frozen.of("detectors"))
        assert "go on with" in said
        assert "from nothing" not in said, said
        for name in USUAL:
            self.scoring.demand(name)

    def _compact(self, tick: int, now: int) -> None:
        """Others come and go, so that the ids of ours change."""
        other = self.window.target(f"other-{tick}", STEP)
        for number in range(5):
            self.window.series(other, Labels({"__name__": "node_load1", "instance": f"o{tick}-{number}"}))
        self.scoring.step(now)
        self.window.drop_target(self.window.target(f"other-{tick - 1}", STEP).key)
        self.window.drop_target(other.key)
        remap = self.window.compact(now)
        assert remap is not None
        self._ids.clear()
        self.scoring.remap(remap)

    def _said(self) -> History:
        found: dict[Key, list[tuple[int, float]]] = {}
        for result in RESULTS:
            for selection in self.window.select([Matcher("__name__", Op.EQUAL, result)]):
                times, values, present = selection.range(START - 1, START + 10 * TICKS * STEP)
                for place, labels in enumerate(selection.labels):
                    there = present[:, place]
                    rest = {k: v for k, v in labels.items() if k not in ("__name__", "metric", "detector")}
                    key = labels["detector"], result, labels.get("metric", ""), tuple(sorted(rest.items()))
                    rows = zip(times[there, place].tolist(), values[there, place].tolist(), strict=True)
                    found[key] = list(rows)
        return found


def of(history: History, detector: str) -> dict[Key, list[tuple[int, float]]]:
    """What one detector has said, without series of which nothing is left."""
    return {key: rows for key, rows in history.items() if key[0] == detector and rows}


def scores(history: History, detector: str) -> Iterator[tuple[Key, int, float]]:
    """Every score (or deviation) of a detector: key, tick, value."""
    for key, rows in of(history, detector).items():
        if key[1] in (SCORE, PEER_DEVIATION):
            for time, value in rows:
                yield key, (time - START) // STEP, value


def _gap(tick: int, column: int) -> bool:
    """A series that lacks now and then, and one thing that is away for a while."""
    return (tick * 31 + column * 17) % 11 == 0 or (120 <= tick < 140 and 8 <= column < 16)
