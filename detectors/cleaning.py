"""What reaches a detector: samples of series that deserve it, counters as reset-safe rates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown
from detectors.contract import Columns, State
from detectors.eligible import Kind, kind_of
from detectors.rates import CounterRates
from telemetry.bits import Ints
from telemetry.window import IdRemap, Window


class Cleaning:
    """The kind of each series, and the last value of each counter."""

    def __init__(self) -> None:
        self.rates = CounterRates()
        self._kinds: Ints = np.empty(0, np.int64)
        self._kind_of: dict[tuple[str, str], Kind] = {}

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self._kinds = grown(self._kinds, size, Kind.NEVER)
        self.rates.reserve(size)

    def notice(self, window: Window, known: int) -> None:
        """Give the series from id `known` on their kind."""
        for sid in range(known, window.size):
            name = window.labels(sid).name
            key = name, window.type_of(name)
            if key not in self._kind_of:
                self._kind_of[key] = kind_of(*key)
            self._kinds[sid] = self._kind_of[key]

    def admit(self, columns: Columns) -> Columns:
        """Without the samples that never reach a detector; any number a series."""
        usable = (self._kinds[columns.ids] != Kind.NEVER) & np.isfinite(columns.values)
        return Columns(columns.times[usable], columns.ids[usable], columns.values[usable])

    def clean(self, columns: Columns) -> Columns:
        """Distinct series, admitted: counters as rates, without the first sample of each."""
        times, ids, values = columns.times, columns.ids, columns.values
        counters = np.flatnonzero(self._kinds[ids] == Kind.COUNTER)
        if len(counters):
            values = values.copy()
            values[counters] = self.rates.step(ids[counters], times[counters], values[counters])
            rated = ~np.isnan(values)
            if not rated.all():
                times, ids, values = times[rated], ids[rated], values[rated]
        return Columns(times, ids, values)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` must follow."""
        self._kinds = np.empty(0, np.int64)
        self.rates.remap(remap.new_ids, remap.size)

    def snapshot(self, size: int) -> State:
        """What must survive a restart, as copies, of the series below id `size`."""
        return self.rates.snapshot(size)

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        self.rates.restore(state, size)
