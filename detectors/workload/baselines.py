"""What a series usually gets done at a load: a level for each class of load, so that a rest can be judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown, remapped
from detectors.contract import State
from telemetry.bits import Floats, Ints

CLASSES = 8
NEVER = -1  # it has not counted anything yet
WEIGHT = 0.02  # a time constant of 50 samples
ENOUGH = 10  # samples of a class before anything is judged in it
RARE = 3.0  # one window is worth no more than this, however long the history: windows are not independent
CLIP = 3.0  # a sample moves the level as if it were at most this many spreads away


class Baselines:
    """Mean and mean absolute rest by series and class of load, for the series that have one."""

    ARRAYS = ("count", "level", "spread")
    BY_ROW = (*ARRAYS, "still", "windows", "stood")

    def __init__(self) -> None:
        self.number: Ints = np.empty(0, np.int64)  # by series id; -1: none
        self.count: Floats = np.empty((0, CLASSES), np.float32)
        self.level: Floats = np.empty((0, CLASSES))
        self.spread: Floats = np.empty((0, CLASSES))
        self.still: Ints = np.empty(0, np.int64)  # windows with work in a row that a counter stands still
        self.windows: Floats = np.empty(0)  # all with work
        self.stood: Floats = np.empty(0)  # and those of them in which it stood still
        self._rows = 0

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self.number = grown(self.number, size, -1)

    def add(self, sid: int) -> None:
        """This series has baselines."""
        if self.number[sid] < 0:
            self.number[sid] = self._rows
            self._rows += 1
            if self._rows > len(self.count):
                for name in self.BY_ROW:
                    array = getattr(self, name)
                    more = ((0, max(16, len(array))), (0, 0))[: array.ndim]
                    empty = NEVER if name == "still" else 0
                    setattr(self, name, np.pad(array, more, constant_values=empty))

    def remap(self, new_ids: Ints, size: int) -> None:
        """Follow a renumbering of the series."""
        number = remapped(self.number, new_ids, size, -1)
        kept = np.flatnonzero(number >= 0)
        for name in self.BY_ROW:
            setattr(self, name, getattr(self, name)[number[kept]])
        number[kept] = np.arange(len(kept))
        self.number, self._rows = number, len(kept)

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps, of the series below id `size`."""
        arrays = {name: getattr(self, name)[: self._rows].copy() for name in self.BY_ROW}
        return {"number": self.number[:size].copy(), **arrays}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        number = state["number"]
        arrays = {name: np.array(state[name], getattr(self, name).dtype) for name in self.BY_ROW}
        rows = int(number.max(initial=-1)) + 1
        shapes = [array.shape for array in arrays.values()]
        if len(number) != size or shapes != [(rows, CLASSES)] * len(self.ARRAYS) + [(rows,)] * 3:
            raise ValueError("the baselines do not fit the series")
        self.number[:size] = number
        self._rows = rows
        for name, array in arrays.items():
            setattr(self, name, array)
