"""A window with a detector that only listens: what reaches it can be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, Columns, Results, State, StreamDetector
from detectors.engine import Scoring
from detectors.lanes import Lane
from model.labels import Labels
from telemetry.window import IdRemap, Window

NOW = 1_700_000_000_000
STEP = 5_000


class Listener(StreamDetector):
    """Notes what it is given; expects what it got."""

    name, version, fails = "listener", 1, "Never."
    results = (EXPECTED_LOW, EXPECTED_HIGH)
    bytes = 0

    def __init__(self) -> None:
        self.forgotten: list[int] = []  # ids
        self.heard: list[tuple[int, int, float, bool]] = []

    def reserve(self, size: int) -> None: ...
    def snapshot(self, size: int) -> State:
        return {}

    def restore(self, state: object, size: int) -> None: ...

    def remap(self, remap: IdRemap) -> None:
        self.forgotten += np.flatnonzero(remap.new_ids < 0).tolist()

    def step(self, columns: Columns) -> Results:
        flags = columns.restarted if len(columns.restarted) else np.zeros(len(columns.ids), np.bool_)
        rows = zip(columns.times - NOW, columns.ids, columns.values, flags, strict=True)
        self.heard += [(int(time), int(sid), float(value), bool(flag)) for time, sid, value, flag in rows]
        return Results(columns.times, columns.ids, np.stack([columns.values, columns.values], axis=1))


@dataclass
class House:
    """A window, what is scraped into it, and a detector that listens."""

    window: Window = field(default_factory=Window)
    listener: Listener = field(default_factory=Listener)

    def __post_init__(self) -> None:
        self.names: dict[int, str] = {}
        self._begin()

    def _begin(self) -> None:
        self.scoring = Scoring(self.window)
        self.scoring.detectors = [self.listener]
        self.scoring._lanes = [Lane(self.window, self.listener)]

    def send(self, at: int, labels: dict[str, str], samples: dict[str, float], key: str = "") -> None:
        target = self.window.target(key or labels["instance"], STEP)
        ids = []
        for name in samples:
            kind = "counter" if name.endswith("_total") else "gauge"
            sid = self.window.series(target, Labels({**labels, "__name__": name}), kind)
            self.names[sid] = name
            ids.append(sid)
        self.window.append(target, NOW + at, np.array(ids), np.array(list(samples.values()), np.float64))

    def step(self) -> None:
        self.scoring.step(NOW)

    def renumbered(self, remap: IdRemap) -> None:
        self.scoring.remap(remap)
        self.names = {sid: self.window.labels(sid).name for sid in range(self.window.size)}

    def resume(self) -> None:
        """Another process goes on from a snapshot."""
        state = self.scoring.snapshot()
        self._begin()
        assert "go on" in self.scoring.restore(state)

    def heard(self, name: str) -> list[tuple[int, float]]:
        return [(time, value) for time, sid, value, _ in self.listener.heard if self.names[sid] == name]

    def times(self, name: str) -> list[int]:
        return [time // STEP for time, _ in self.heard(name)]

    def restarted(self, name: str) -> list[int]:
        """The ticks at whose sample the series was said to begin anew."""
        marked = [(at, sid) for at, sid, _, flag in self.listener.heard if flag]
        return [at // STEP for at, sid in marked if self.names[sid] == name]
