"""Series that were restarted while an alarm was on: they warm up anew beside what judges them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import EMPTY, Columns, State
from detectors.streaming import sound
from detectors.streaming.blocks import Blocks
from telemetry.bits import Ints
from telemetry.window import IdRemap


class Afresh:
    """A second state for each of these few, until it is warm and takes the place of the first."""

    def __init__(self, params: NDArray[np.float32], warm_up: int) -> None:
        self._warm_up = warm_up
        self._ids: Ints = EMPTY  # ascending; the place is the number in the blocks
        self._blocks = Blocks(params)

    def begin(self, ids: Ints) -> None:
        """From their next sample on these warm up."""
        kept = self._ids[~np.isin(self._ids, ids)]
        self._keep(np.union1d(kept, ids), kept)

    def end(self, ids: Ints) -> None:
        """These do not any more."""
        if len(self._ids) and len(ids):
            kept = self._ids[~np.isin(self._ids, ids)]
            self._keep(kept, kept)

    def learn(self, columns: Columns) -> tuple[Ints, NDArray[np.uint32]]:
        """Learn from samples of ascending ids; who is warm now, and the states of these, which are let go."""
        chosen = np.flatnonzero(np.isin(columns.ids, self._ids)) if len(self._ids) else EMPTY
        if not len(chosen):
            return EMPTY, self._blocks.of(EMPTY)
        numbers = np.searchsorted(self._ids, columns.ids[chosen])
        self._blocks.judge(columns.times[chosen], numbers, columns.values[chosen])
        numbers = numbers[self._blocks.counts(numbers) >= self._warm_up]
        warm, states = self._ids[numbers], self._blocks.of(numbers)
        self.end(warm)
        return warm, states

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        states, ids = self._blocks.of(np.arange(len(self._ids))), remap.new_ids[self._ids]
        self._take(ids[ids >= 0], states[ids >= 0])

    def snapshot(self) -> State:
        """Copies of all that it keeps."""
        return {"fresh_ids": self._ids.copy(), "fresh": self._blocks.of(np.arange(len(self._ids)))}

    def restore(self, state: Mapping[str, NDArray[Any]], width: int) -> None:
        """Take over a snapshot with `width` fields. Raises KeyError or ValueError where it does not fit."""
        ids, states = np.array(state["fresh_ids"], np.int64), np.asarray(state["fresh"])
        if len(ids) and (states.shape != (len(ids), width) or states.dtype != np.uint32):
            raise ValueError(f"the state of restarted series has the shape {states.shape}")
        if len(np.unique(ids)) < len(ids) or (ids < 0).any():
            raise ValueError("restarted series have odd numbers")
        if len(ids):
            sound.check(states)
        self._take(ids, states)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return self._blocks.bytes + int(self._ids.nbytes)

    def _keep(self, ids: Ints, kept: Ints) -> None:
        """`ids` are the ones now, of which `kept` go on."""
        states = self._blocks.of(np.searchsorted(self._ids, kept))
        self._ids = ids
        self._blocks.clear()
        self._blocks.reserve(len(ids))
        self._blocks.put(np.searchsorted(ids, kept), states)

    def _take(self, ids: Ints, states: NDArray[np.uint32]) -> None:
        order = np.argsort(ids)
        self._ids = ids[order]
        self._blocks.clear()
        self._blocks.reserve(len(ids))
        self._blocks.put(np.arange(len(ids)), states[order])
