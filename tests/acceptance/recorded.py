"""Recordings of an engine made longer: their own increments in another order, then recordings that go on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from telemetry.bits import Floats, Ints

_TYPE = re.compile(r"(?m)^# TYPE (\S+) (\S+)$")
_LINE = re.compile(r"(?m)^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$")
_PART = re.compile(r"_(?:sum|count)$")
RUNNING = "vllm:num_requests_running"


class Recording:
    """The captures of a folder: the value of each series at each of them, without buckets and creation times.

    `times` [captures] in ms, `values` [captures, series]; a series that is not there yet is 0, as it counts.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.prom"))
        rows = []
        types: dict[str, str] = {}
        for path in paths:
            text = path.read_text()
            types |= dict(_TYPE.findall(text))
            rows.append({key: float(value) for key, value in _LINE.findall(text) if _kept(key)})
        self.keys = sorted(dict.fromkeys(key for row in rows for key in row))
        self.times: Ints = np.array([int(path.stem) for path in paths])
        self.values: Floats = np.array([[row.get(key, 0.0) for key in self.keys] for row in rows])
        names = [key.partition("{")[0] for key in self.keys]
        self.counts = np.array([_counts(name, types) for name in names])
        self.running = self.values[:, [name == RUNNING for name in names]].sum(axis=1)
        self._comments = "".join(f"# TYPE {name} {kind}\n" for name, kind in types.items() if _kept(name))

    def body(self, values: Floats) -> bytes:
        """An exposition of these values, `[series]`."""
        lines = [f"{key} {value!r}\n" for key, value in zip(self.keys, values.tolist(), strict=True)]
        return (self._comments + "".join(lines)).encode()

    def history(self, scrapes: int, seed: int) -> Iterator[tuple[int, Floats]]:
        """(milliseconds since the scrape before, values) of that many scrapes: increments of the recording.

        A window follows one that left the engine as it found it, busy or idle: so gauges and counters fit.
        """
        chance = random.Random(seed)
        busy = (self.running > 0).tolist()
        values, at = self.values[0].copy(), 0
        for _ in range(scrapes):
            at = chance.choice([n for n in range(1, len(busy)) if busy[n - 1] == busy[at]])
            values = self.after(values, at)
            yield int(self.times[at] - self.times[at - 1]), values

    def after(self, values: Floats, at: int) -> Floats:
        """What comes after `values` when the window before capture `at` is lived through."""
        grown = values + np.maximum(self.values[at] - self.values[at - 1], 0.0)
        after: Floats = np.where(self.counts, grown, self.values[at])
        return after


class Engine:
    """An engine that is scraped at virtual times. Whatever it replays, it is one process: counters go on."""

    def __init__(self, instance: str, recording: Recording) -> None:
        self.instance = instance
        self.recording = recording
        self.values = dict(zip(recording.keys, recording.values[0].tolist(), strict=True))

    def history(self, scrapes: int, seed: int) -> Iterator[tuple[int, bytes]]:
        """(ms since the scrape before, body) of a long time of what was recorded."""
        for passed, values in self.recording.history(scrapes, seed):
            self.values |= dict(zip(self.recording.keys, values.tolist(), strict=True))
            yield passed, self.recording.body(values)

    def replay(self, recording: Recording) -> Iterator[tuple[int, bytes]]:
        """(ms since its begin, body) of a recording, which may be of another process of this engine."""
        first = zip(recording.keys, recording.values[0].tolist(), strict=True)
        values = np.array([self.values.get(key, value) for key, value in first])
        started = recording.keys.index("process_start_time_seconds")
        for at in range(1, len(recording.times)):
            values = recording.after(values, at)
            values[started] = self.values["process_start_time_seconds"]
            yield int(recording.times[at] - recording.times[0]), recording.body(values)


def _kept(key: str) -> bool:
    return not re.match(r"\S*_(?:bucket|created)(?:$|\{| )", key)


def _counts(name: str, types: dict[str, str]) -> bool:
    return types.get(name) == "counter" or types.get(_PART.sub("", name)) in ("histogram", "summary")
