"""State of all series for the streaming recipe, and the one pass that all detectors on it share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.contract import NONE, Columns, State
from detectors.streaming import sound
from detectors.streaming.afresh import Afresh
from detectors.streaming.blocks import Blocks
from detectors.streaming.settings import StreamingSettings
from telemetry.bits import Floats, Ints
from telemetry.window import IdRemap


class Judged(NamedTuple):
    """By sample, NaN in warm-up: `[n, 3]` score, low and high; `[n, 1]` the score of the change."""

    level: Floats
    change: Floats


class StreamingCore:
    """The recipe over all series, by dense id.

    A series that is restarted begins with nothing. If its last score was above 1 it stays judged by what was
    known, which goes on learning, until a second state has warmed up beside it and takes its place.
    """

    def __init__(self, settings: StreamingSettings | None = None) -> None:
        self.settings = settings or StreamingSettings()
        own = self.settings
        params = np.array((own.budget, own.warm_up, own.hold, own.floor, own.max_score), np.float32)
        self._blocks = Blocks(params, own.weekly)
        self._afresh = Afresh(params, own.warm_up)
        self._judged: tuple[Columns, Judged] | None = None

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self._blocks.reserve(size)

    def warm(self) -> None:
        """Compile the pass, or load what was compiled before."""
        from detectors.streaming.kernel import compiled, fresh

        compiled()
        fresh(1)

    def judge(self, columns: Columns) -> Judged:
        """Score the samples, then learn from them: once, however many detectors ask for these columns."""
        if self._judged is None or self._judged[0] is not columns:
            self._judged = columns, self._pass(columns)
        return self._judged[1]

    def _pass(self, columns: Columns) -> Judged:
        """By ascending id, for that is how the state lies; a batch mostly comes so."""
        if len(columns.restarted):
            self._restart(columns.ids[columns.restarted])
            columns = replace(columns, restarted=NONE)
        if (columns.ids[1:] < columns.ids[:-1]).any():
            order = np.argsort(columns.ids)
            judged = self._pass(Columns(columns.times[order], columns.ids[order], columns.values[order]))
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
            return Judged(judged.level[back], judged.change[back])
        out = self._blocks.judge(columns.times, columns.ids, columns.values)
        warm, states = self._afresh.learn(columns)
        self._blocks.put(warm, states)
        self._blocks.weeks.interrupt(warm)
        return Judged(out[:3].T, out[3:].T)

    def _restart(self, ids: Ints) -> None:
        self.reserve(int(ids.max()) + 1)
        alarmed = self._blocks.alarmed(ids)
        self._blocks.forget(ids[~alarmed])
        self._blocks.weeks.interrupt(ids[~alarmed])
        self._afresh.end(ids[~alarmed])
        if alarmed.any():
            self._afresh.begin(ids[alarmed])

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        old = np.flatnonzero(remap.new_ids >= 0)
        self.reserve(len(remap.new_ids))
        state = self._blocks.of(old)
        self._blocks.clear()
        self.reserve(remap.size)
        self._blocks.put(remap.new_ids[old], state)
        self._blocks.weeks.remap(remap)
        self._afresh.remap(remap)
        self._judged = None

    def snapshot(self, size: int) -> State:
        """The bits of all numbers of each series, `[size, numbers]`."""
        self.reserve(size)
        weeks = self._blocks.weeks.snapshot()
        return {"state": self._blocks.of(np.arange(size)), **weeks, **self._afresh.snapshot()}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        taken = np.asarray(state["state"])
        self.reserve(size)
        wanted = self._blocks.of(np.arange(size))
        if taken.shape != wanted.shape or taken.dtype != wanted.dtype:
            raise ValueError(f"state has the shape {taken.shape}, not {wanted.shape}")
        sound.check(taken)
        weeks = self._blocks.weeks.parsed(state, size)
        self._afresh.restore(state, taken.shape[1])
        self._blocks.weeks.restore(weeks)
        self._blocks.put(np.arange(size), taken)
        self._judged = None

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return self._blocks.bytes + self._afresh.bytes
