"""Counters as rates: what a counter counted since its last sample, per second, resets seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import copied, grown, remapped, taken_over
from detectors.contract import State
from telemetry.bits import Floats, Ints

RESET = 0.5
"""A counter that begins again is at less than this part of what it was."""
_PER_SECOND = 1_000.0  # times are in ms


class CounterRates:
    """The last value and time of each counter, by dense id.

    A counter that fell was reset and has counted from 0 since (Prometheus: rate()). The first sample of a
    counter gives no rate.

    >>> rates = CounterRates()
    >>> for time, value in ((0, 100.0), (15_000, 130.0), (30_000, 6.0)):
    ...     print(rates.step(np.array([0]), np.array([time]), np.array([value])))
    [nan]
    [2.]
    [0.4]
    """

    ARRAYS = ("value", "time")

    def __init__(self) -> None:
        self.value: Floats = np.empty(0)  # NaN: none yet
        self.time: Ints = np.empty(0, np.int64)

    def reserve(self, size: int) -> None:
        """Make room for the ids below `size`."""
        self.value = grown(self.value, size, np.nan)
        self.time = grown(self.time, size, 0)

    def step(self, ids: Ints, times: Ints, values: Floats) -> Floats:
        """Rates per second of distinct counters, `[n]`, NaN at the first sample. Finite values only."""
        if len(ids):
            self.reserve(int(ids.max()) + 1)
        before = self.value[ids]
        increase = np.where(values >= before, values - before, values)
        rates: Floats = increase * _PER_SECOND / np.maximum(times - self.time[ids], 1)
        rates[np.isnan(before)] = np.nan
        self.value[ids] = values
        self.time[ids] = times
        return rates

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps, of the series below id `size`."""
        return copied(self, self.ARRAYS, size)

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        taken_over(self, self.ARRAYS, state, size)

    def remap(self, new_ids: Ints, size: int) -> None:
        """Follow a renumbering: `new_ids[old id]`, -1 = gone."""
        self.value = remapped(self.value, new_ids, size, np.nan)
        self.time = remapped(self.time, new_ids, size, 0)
