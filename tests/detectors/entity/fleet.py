"""A few GPUs under one load, and the detectors over them; tiny models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from detectors.engine import Scoring
from detectors.entity.settings import EntitySettings
from detectors.entity.state import StateDetector
from detectors.settings import DetectorSettings
from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.bits import Floats
from telemetry.window import Window

NOW = 1_700_000_000_000
STEP = 5_000
WARM = 70
"""Scrapes after which there are scores."""
SETTINGS = DetectorSettings(entities=EntitySettings(warm_up="1m", sample=256, trees=4))
METRICS = (
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_SM_CLOCK",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_MEM_COPY_UTIL",
)
_NOISE = np.random.default_rng(3).normal(size=(400, 8, len(METRICS)))


class Fleet:
    """`scrape` gives each GPU its usual values, but for those in `values`; then the detectors step."""

    def __init__(self, gpus: int = 3, settings: DetectorSettings = SETTINGS) -> None:
        self.window = Window(retention=3_600_000)
        self.scoring = Scoring(self.window, settings)
        self.gpus = gpus
        self.pod, self.model, self.first = "a", "H100", 0
        self.tick = 0

    @property
    def now(self) -> int:
        return NOW + self.tick * STEP

    @property
    def state(self) -> StateDetector:
        (found,) = (each for each in self.scoring.detectors if isinstance(each, StateDetector))
        return found

    def labels(self, gpu: int) -> dict[str, str]:
        known = {
            "gpu": str(gpu),
            "UUID": f"GPU-{self.first + gpu}",
            "modelName": self.model,
            "Hostname": "n1",
        }
        return {**known, "pod": self.pod, "instance": "n1:9400", "job": "dcgm"}

    def usual(self, gpu: int) -> Floats:
        load = 0.5 + 0.2 * np.sin(self.tick / 7)
        noise = _NOISE[self.tick % len(_NOISE), gpu]
        level = np.array([40.0, 100.0, 1500.0, 30.0, 20.0])
        span = np.array([25.0, 400.0, 200.0, 60.0, 50.0])
        return np.asarray(level + load * span + noise * np.array([0.5, 5.0, 5.0, 1.5, 1.5]))

    def scrape(
        self, ticks: int = 1, values: Mapping[str, float] | None = None, leave_out: Iterable[int] = ()
    ) -> None:
        """`values` are of GPU 0."""
        target = self.window.target("n1", STEP)
        for _ in range(ticks):
            self.tick += 1
            self.window.advance(self.now)
            for gpu in sorted(set(range(self.gpus)) - set(leave_out)):
                row = dict(zip(METRICS, self.usual(gpu).tolist(), strict=True)) | dict(
                    values or {} if gpu == 0 else {}
                )
                ids = [
                    self.window.series(target, Labels({"__name__": name, **self.labels(gpu)}), "gauge")
                    for name in row
                ]
                self.window.append(target, self.now, np.array(ids), np.array(list(row.values())))
            self.scoring.step(self.now)

    def idle(self, ticks: int) -> None:
        """GPU 0 has nothing to do."""
        cold = {"DCGM_FI_DEV_GPU_TEMP": 30.0, "DCGM_FI_DEV_POWER_USAGE": 60.0, "DCGM_FI_DEV_SM_CLOCK": 300.0}
        self.scrape(ticks, {**cold, "DCGM_FI_DEV_GPU_UTIL": 0.0, "DCGM_FI_DEV_MEM_COPY_UTIL": 0.0})

    def said(
        self, gpu: int, result: str = "fleetowl_anomaly_score", **labels: str
    ) -> list[tuple[int, float]]:
        """(tick, value) of a result about a GPU."""
        wanted = {"__name__": result, "UUID": f"GPU-{gpu}", "detector": "state"} | labels
        matchers = [Matcher(name, Op.EQUAL, value) for name, value in wanted.items()]
        found = self.window.select(matchers)
        if not found:
            return []
        assert len(found) == len(found[0].labels) == 1, [selection.labels for selection in found]
        times, values, present = found[0].range(NOW, NOW + 10**9)
        rows = zip(((times - NOW) // STEP)[present].tolist(), values[present].tolist(), strict=True)
        return list(rows)

    def results(self, names: Sequence[str] = ("fleetowl_anomaly_contribution",)) -> list[Labels]:
        """The labels of the living result series."""
        ids, labels = self.window.search([Matcher("__name__", Op.MATCHES, "|".join(names))])
        values = self.window.last(ids)[1]
        return [
            labels[sid] for sid, value in zip(ids.tolist(), values.tolist(), strict=True) if value == value
        ]
