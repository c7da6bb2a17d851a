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

    @property
    def events(self) -> tuple[Ints, Floats]:
        """Numbers and values of what this step brought, by number, in order of time."""
        return self._numbers, self._values

    def replace(self, kept: Flags, values: Floats) -> None:
        """Only these events count, of these values: `[events]` both."""
        self._numbers, self._batches = self._numbers[kept], self._batches[kept]
        self._times, self._values = self._times[kept], values[kept]

    def steady(self) -> Floats:
        """What each has said before and in all of this step, by number; NaN if that is not one thing."""
        steady = self.value[: self._count].copy()
        steady[self._numbers[self._values != steady[self._numbers]]] = np.nan
        return steady

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

    def remap(self, new_ids: Ints, size: int) -> Ints:
        """Follow a renumbering of the series; returns the numbers that are left, in their new order."""
        number = remapped(self.number, new_ids, size, -1)
        kept = np.flatnonzero(number >= 0)
        left: Ints = number[kept]
        self.value, self.time = self.value[left], self.time[left]
        number[kept] = np.arange(len(kept))
        self.number, self._count = number, len(kept)
        return left

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


class Falls:
    """How often the counters among some signals have fallen: what they count says less of their process."""

    def __init__(self) -> None:
        self.counted: Flags = np.empty(0, np.bool_)  # by number: whether it is one
        self.last: Floats = np.empty(0)
        self.fallen: Floats = np.empty(0)

    def add(self, number: int, fallen: float = 0.0) -> None:
        """This signal is a counter, if it is none yet one that has fallen so often."""
        self._reserve(number + 1)
        if not self.counted[number]:
            self.counted[number], self.fallen[number] = True, fallen

    def _reserve(self, size: int) -> None:
        self.counted = grown(self.counted, size, False)
        self.last = grown(self.last, size, np.nan)
        self.fallen = grown(self.fallen, size, 0.0)

    def count(self, numbers: Ints, values: Floats) -> tuple[Flags, Floats]:
        """Of events by number, in order of time: which count, and the values, falls in place of counts.

        What is not finite tells nothing of a counter.
        """
        self._reserve(int(numbers.max(initial=-1)) + 1)
        counted = self.counted[numbers]
        kept = ~counted | np.isfinite(values)
        places = np.flatnonzero(counted & kept)
        if not len(places):
            return kept, values
        own, told = numbers[places], values[places]
        first = np.concatenate(([True], own[1:] != own[:-1]))
        before = np.where(first, self.last[own], np.concatenate(([0.0], told[:-1])))
        falls = np.cumsum(told < before)
        starts = np.flatnonzero(first)
        until: Ints = np.repeat(falls[starts] - (told < before)[starts], np.diff(np.append(starts, len(own))))
        values = values.copy()
        values[places] = self.fallen[own] + falls - until
        self.last[own], self.fallen[own] = told, values[places]  # of one number the last wins
        return kept, values

    def remap(self, left: Ints) -> None:
        """Only these numbers are left, in this order."""
        self._reserve(int(left.max(initial=-1)) + 1)
        self.counted, self.last, self.fallen = self.counted[left], self.last[left], self.fallen[left]

    def snapshot(self) -> State:
        """Copies of all that it keeps."""
        return {name: getattr(self, name).copy() for name in ("counted", "last", "fallen")}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        counted, last = np.array(state["counted"], np.bool_), np.array(state["last"], np.float64)
        fallen = np.array(state["fallen"], np.float64)
        if not len(counted) == len(last) == len(fallen):
            raise ValueError("the counters do not fit the signals")
        self.counted, self.last, self.fallen = counted, last, fallen


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
