"""State of all series for the streaming recipe, and the one pass that all detectors on it share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.contract import Columns, State
from detectors.streaming.settings import StreamingSettings
from telemetry.bits import Floats, Ints
from telemetry.window import IdRemap


class Judged(NamedTuple):
    """By sample, NaN in warm-up: `[n, 3]` score, low and high; `[n, 1]` the score of the change."""

    level: Floats
    change: Floats


class StreamingCore:
    """The recipe over all series: blocks of float32 by dense id, see kernel for how they lie.

    numba and the kernel are imported with the first series: who only reads settings does not wait for them.
    """

    def __init__(self, settings: StreamingSettings | None = None) -> None:
        self.settings = settings or StreamingSettings()
        own = self.settings
        params = own.budget, own.warm_up, own.hold, own.floor, own.max_score
        self._params = np.array(params, np.float32)
        self._blocks: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._judged: tuple[Columns, Judged] | None = None

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        if size:
            from detectors.streaming.kernel import fresh
            from detectors.streaming.vector import LANES

            has, needs = len(self._blocks), -(-size // LANES)
            if has < needs:
                larger = fresh(max(needs, has * 3 // 2))
                if has:
                    larger[:has] = self._blocks
                self._blocks = larger

    def warm(self) -> None:
        """Compile the pass, or load what was compiled before."""
        from detectors.streaming.kernel import compiled

        compiled()

    def judge(self, columns: Columns) -> Judged:
        """Score the samples, then learn from them: once, however many detectors ask for these columns."""
        if self._judged is None or self._judged[0] is not columns:
            self._judged = columns, self._pass(columns)
        return self._judged[1]

    def _pass(self, columns: Columns) -> Judged:
        """By ascending id, for that is how the state lies; a batch mostly comes so."""
        if (columns.ids[1:] < columns.ids[:-1]).any():
            order = np.argsort(columns.ids)
            judged = self._pass(Columns(columns.times[order], columns.ids[order], columns.values[order]))
            back = np.empty_like(order)
            back[order] = np.arange(len(order))
            return Judged(judged.level[back], judged.change[back])
        out = np.empty((4, len(columns.ids)))
        if len(columns.ids):
            from detectors.streaming.kernel import compiled

            self.reserve(int(columns.ids.max()) + 1)
            compiled()(
                *(np.ascontiguousarray(each) for each in (columns.times, columns.ids, columns.values)),
                self._blocks,
                self._blocks.view(np.uint32),
                self._params,
                out,
            )
        return Judged(out[:3].T, out[3:].T)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        old = np.flatnonzero(remap.new_ids >= 0)
        self.reserve(len(remap.new_ids))
        state = self._of(old)
        self._blocks = self._blocks[:0]
        self.reserve(remap.size)
        self._set(remap.new_ids[old], state)
        self._judged = None

    def snapshot(self, size: int) -> State:
        """The bits of all numbers of each series, `[size, numbers]`."""
        self.reserve(size)
        return {"state": self._of(np.arange(size))}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        taken = np.asarray(state["state"])
        self.reserve(size)
        wanted = self._of(np.arange(size))
        if taken.shape != wanted.shape or taken.dtype != wanted.dtype:
            raise ValueError(f"state has the shape {taken.shape}, not {wanted.shape}")
        self._set(np.arange(size), taken)
        self._judged = None

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return int(self._blocks.nbytes)

    def _of(self, ids: Ints) -> NDArray[np.uint32]:
        """`[ids, numbers]`, a copy."""
        if not len(self._blocks):
            return np.empty((len(ids), 0), np.uint32)
        rows, lanes = self._rows()
        return rows[ids // lanes, :, ids % lanes]

    def _set(self, ids: Ints, state: NDArray[np.uint32]) -> None:
        if len(ids):
            rows, lanes = self._rows()
            rows[ids // lanes, :, ids % lanes] = state

    def _rows(self) -> tuple[NDArray[np.uint32], int]:
        """The blocks as `[blocks, numbers, lanes]`, and how many lanes these are."""
        from detectors.streaming.vector import LANES

        return self._blocks.view(np.uint32).reshape(len(self._blocks), -1, LANES), LANES
