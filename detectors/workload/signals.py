"""The newest values of a few telling series, as they were when a sample came.

A sample is judged by what stood in the same batch (a scrape, a frame, a request) or in batches before, never
by what came later: so the verdict does not depend on where the tick cut the stream of batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown, remapped
from detectors.contract import Columns, State
from telemetry.bits import Flags, Floats, Ints

_KNOWN_FOR = 300_000  # ms: Prometheus' look-back


class Signals:
    """Series that tell something, numbered; a number stays with its series."""

    def __init__(self) -> None:
        self.number: Ints = np.empty(0, np.int64)  # by series id; -1: tells nothing
        self.value: Floats = np.empty(0)  # by number, of the batches before; NaN: none
        self.time: Ints = np.empty(0, np.int64)
        self._count = 0
        self._numbers: Ints = np.empty(0, np.int64)  # of this step's events, by number, in order of time
        self._times: Ints = np.empty(0, np.int64)
        self._batches: Ints = np.empty(0, np.int64)
        self._values: Floats = np.empty(0)

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self.number = grown(self.number, size, -1)

    def add(self, sid: int) -> int:
        """The number of this series; from now on it is listened to."""
        if self.number[sid] < 0:
            self.number[sid] = self._count
            self._count += 1
            self.value = grown(self.value, self._count, np.nan)
            self.time = grown(self.time, self._count, 0)
        return int(self.number[sid])

    def begin(self, arrived: Columns, batches: Ints) -> None:
        """All that arrived, stale markers too, and which batch each sample came with, ascending, `[n]`."""
        numbers = self.number[arrived.ids]
        events = np.flatnonzero(numbers >= 0)
        order = events[np.lexsort((batches[events], numbers[events]))]  # stable: by time within a batch
        self._numbers, self._batches = numbers[order], batches[order]
        self._times, self._values = arrived.times[order], arrived.values[order]

    def at(self, numbers: Ints, times: Ints, batches: Ints) -> Floats:
        """Their values as of these samples, `[n]`; NaN where unknown. A number may be -1."""
        told = np.maximum(numbers, 0)
        if not len(self.value):
            return np.full(len(numbers), np.nan)
        value, time = self.value[told], self.time[told]
        if len(self._numbers):
            before = _place(self._numbers, self._batches, told, batches, "left") - 1
            value, time = self._better(value, time, before, told, np.ones(len(told), np.bool_))
            until = _place(self._numbers, self._batches, told, batches, "right") - 1
            until = np.minimum(until, _place(self._numbers, self._times, told, times, "right") - 1)
            value, time = self._better(value, time, until, told, until > before)
        unknown = (numbers < 0) | (time > times) | (time < times - _KNOWN_FOR)
        return np.where(unknown, np.nan, value)

    def end(self) -> None:
        """The step is over: what it brought is what came before."""
        self.value[self._numbers] = self._values  # of one number the last wins
        self.time[self._numbers] = self._times
        self._numbers = self._numbers[:0]

    def _better(
        self, value: Floats, time: Ints, place: Ints, numbers: Ints, usable: Flags
    ) -> tuple[Floats, Ints]:
        found = usable & (place >= 0)
        found[found] = self._numbers[place[found]] == numbers[found]
        value, time = value.copy(), time.copy()
        value[found], time[found] = self._values[place[found]], self._times[place[found]]
        return value, time

    def remap(self, new_ids: Ints, size: int) -> None:
        """Follow a renumbering of the series."""
        number = remapped(self.number, new_ids, size, -1)
        kept = np.flatnonzero(number >= 0)
        self.value, self.time = self.value[number[kept]], self.time[number[kept]]
        number[kept] = np.arange(len(kept))
        self.number, self._count = number, len(kept)

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps, of the series below id `size`."""
        told, told_at = self.value[: self._count].copy(), self.time[: self._count].copy()
        return {"number": self.number[:size].copy(), "told": told, "told_at": told_at}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        number, value, time = state["number"], state["told"], state["told_at"]
        if len(number) != size or len(value) != len(time) or int(number.max(initial=-1)) >= len(value):
            raise ValueError("the signals do not fit the series")
        self.number[:size] = number
        self.value, self.time = np.array(value, np.float64), np.array(time, np.int64)
        self._count = len(value)


def asked_once(keys: Ints, times: Ints, batches: Ints, size: int) -> tuple[Ints, Ints, Ints, Ints]:
    """Questions (keys below `size`, times, batches), and the place among them of the answer to each sample.

    Mostly all samples of a key came in one batch, at one time: then one question stands for all of them.
    """
    batch, time = np.full(size, -1), np.zeros(size, np.int64)
    batch[keys], time[keys] = batches, times
    if (batch[keys] == batches).all() and (time[keys] == times).all():
        asked = np.flatnonzero(batch >= 0)
        place = np.zeros(size, np.int64)
        place[asked] = np.arange(len(asked))
        return asked, time[asked], batch[asked], place[keys]
    return keys, times, batches, np.arange(len(keys))


def _place(numbers: Ints, seconds: Ints, number: Ints, second: Ints, side: str) -> Ints:
    """Where (number, second) stands among the sorted pairs (numbers, seconds)."""
    least = min(int(seconds.min()), int(second.min(initial=seconds[0])))
    most = max(int(seconds.max()), int(second.max(initial=seconds[0])))
    width = most - least + 1
    return np.searchsorted(numbers * width + (seconds - least), number * width + (second - least), side)  # type: ignore[call-overload,no-any-return]
