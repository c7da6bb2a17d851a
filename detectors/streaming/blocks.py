"""State of the streaming recipe by dense number: blocks of float32, see kernel for how they lie."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors.streaming.weeks import Weeks
from telemetry.bits import Flags, Floats, Ints

_PAGE = 4096


def _on_pages(blocks: NDArray[np.float32]) -> NDArray[np.float32]:
    """A copy that begins with a page: no row of a block is on two cache lines, no block on two pages."""
    memory = np.empty(blocks.nbytes + _PAGE, np.uint8)
    begin = -memory.ctypes.data % _PAGE
    copy: NDArray[np.float32] = memory[begin : begin + blocks.nbytes].view(np.float32).reshape(blocks.shape)
    copy[...] = blocks
    return copy


class Blocks:
    """numba and the kernel are imported with the first series: who only reads settings does not wait."""

    def __init__(self, params: NDArray[np.float32], weekly: int = 0) -> None:
        self.params = params
        self.weeks = Weeks(weekly)
        self._blocks: NDArray[np.float32] = np.empty((0, 0), np.float32)

    def reserve(self, size: int) -> None:
        """Make room for the numbers below `size`."""
        if size:
            from detectors.streaming.kernel import fresh
            from detectors.streaming.vector import LANES

            has, needs = len(self._blocks), -(-size // LANES)
            if has < needs:
                larger = _on_pages(fresh(max(needs, has * 3 // 2)))
                if has:
                    larger[:has] = self._blocks
                self._blocks = larger

    def judge(self, times: Ints, numbers: Ints, values: Floats) -> Floats:
        """Score samples of ascending numbers, then learn from them: `[4, n]` score, low, high and change."""
        out = np.empty((4, len(numbers)))
        if len(numbers):
            from detectors.streaming.kernel import compiled

            self.reserve(int(numbers[-1]) + 1)
            compiled()(
                *(np.ascontiguousarray(each) for each in (times, numbers, values)),
                self._blocks,
                self._blocks.view(np.uint32),
                self.params,
                self.weeks.arguments(len(numbers)),
                out,
            )
            self.weeks.settle()
        return out

    def forget(self, numbers: Ints) -> None:
        """These have had no sample."""
        if len(numbers):
            from detectors.streaming.kernel import fresh

            rows, lanes = self._rows()
            empty = fresh(1).view(np.uint32).reshape(1, -1, lanes)[0, :, 0]
            rows[numbers // lanes, :, numbers % lanes] = empty

    def alarmed(self, numbers: Ints) -> Flags:
        """Whose newest score was above 1: those are the ones whose excursion is being said."""
        from detectors.streaming.recipe import SINCE

        found: Flags = self._field(SINCE, numbers) > 0
        return found

    def counts(self, numbers: Ints) -> NDArray[np.float32]:
        """How many samples these have learned from."""
        from detectors.streaming.recipe import COUNT

        return self._field(COUNT, numbers)

    def of(self, numbers: Ints) -> NDArray[np.uint32]:
        """The bits of all that is known of these, `[n, fields]`, a copy."""
        if not len(self._blocks):
            return np.empty((len(numbers), 0), np.uint32)
        rows, lanes = self._rows()
        return rows[numbers // lanes, :, numbers % lanes]

    def put(self, numbers: Ints, state: NDArray[np.uint32]) -> None:
        """What `of` gave is the state of these, for which there is room."""
        if len(numbers):
            rows, lanes = self._rows()
            rows[numbers // lanes, :, numbers % lanes] = state

    def clear(self) -> None:
        """Forget all."""
        self._blocks = self._blocks[:0]

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return int(self._blocks.nbytes) + self.weeks.bytes

    def _field(self, field: int, numbers: Ints) -> NDArray[np.float32]:
        rows, lanes = self._rows()
        found: NDArray[np.float32] = rows[numbers // lanes, field, numbers % lanes].view(np.float32)
        return found

    def _rows(self) -> tuple[NDArray[np.uint32], int]:
        """The blocks as `[blocks, fields, lanes]`, and how many lanes these are."""
        from detectors.streaming.vector import LANES

        return self._blocks.view(np.uint32).reshape(len(self._blocks), -1, LANES), LANES
