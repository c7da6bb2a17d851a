"""What reaches a detector: series that deserve it, counters as reset-safe rates, no idle windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown
from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, Columns, Results, State
from detectors.eligible import Kind, kind_of
from detectors.rates import CounterRates
from detectors.restarts import Restarts
from detectors.workload.watch import Demand, Workload, part, shown
from telemetry.bits import Floats, Ints
from telemetry.window import IdRemap, Window

_RESET = 0.5  # a counter that begins again is at less than this part of what it was


@dataclass(frozen=True, slots=True)
class Admitted:
    """Samples that may reach a detector, `[n]`, with what was known when they came."""

    times: Ints
    ids: Ints
    values: Floats
    demand: Demand
    runs: Floats

    def at(self, places: Ints) -> Admitted:
        """Those at these places."""
        demand = Demand(self.demand.state[places], self.demand.load[places])
        return Admitted(self.times[places], self.ids[places], self.values[places], demand, self.runs[places])


@dataclass(frozen=True, slots=True)
class Clean:
    """Samples of distinct series: as they are, as they are judged, and what went idle.

    `plain` is for whoever compares series; `judged` for whoever knows one series: what gets done is there as
    a rest from what is usual at its load. Of `absent` nothing is known any more as of these times.
    """

    plain: Columns
    judged: Columns
    base: Floats  # of the judged, `[n]`
    seconds: Floats
    absent: Columns

    def shown(self, results: Results, names: tuple[str, ...]) -> Results:
        """The results of what is judged, with expectations in the units of the metrics."""
        columns = [place for place, name in enumerate(names) if name in (EXPECTED_LOW, EXPECTED_HIGH)]
        if not columns or np.isnan(self.base).all():
            return results
        order = np.argsort(self.judged.ids)
        place = order[np.searchsorted(self.judged.ids, results.subjects, sorter=order)]
        rows = np.flatnonzero(~np.isnan(self.base[place]))
        values = results.values.copy()
        where = np.ix_(rows, np.array(columns))
        values[where] = shown(values[where], self.base[place[rows]], self.seconds[place[rows]])
        return replace(results, values=values)


class Cleaning:
    """The kind of each series, the last value of each counter, and what is known of demand and restarts."""

    def __init__(self) -> None:
        self.rates = CounterRates()
        self.workload = Workload()
        self.restarts = Restarts()
        self._kinds: Ints = np.empty(0, np.int64)
        self._kind_of: dict[tuple[str, str], Kind] = {}

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self._kinds = grown(self._kinds, size, Kind.NEVER)
        self.rates.reserve(size)
        self.workload.reserve(size)
        self.restarts.reserve(size)

    def notice(self, window: Window, known: int) -> None:
        """Give the series from id `known` on their kind."""
        for sid in range(known, window.size):
            name = window.labels(sid).name
            key = name, window.type_of(name)
            if key not in self._kind_of:
                self._kind_of[key] = kind_of(*key)
            self._kinds[sid] = self._kind_of[key]
        self.workload.notice(window, known)
        self.restarts.notice(window, known)

    def admit(self, arrived: Columns, lengths: list[int]) -> Admitted:
        """Without the samples that never reach a detector; any number a series.

        `lengths` are those of the batches in which all of it came, one after another.
        """
        batches = np.repeat(np.arange(len(lengths)), lengths)
        usable = np.flatnonzero((self._kinds[arrived.ids] != Kind.NEVER) & np.isfinite(arrived.values))
        times, ids, values = arrived.times[usable], arrived.ids[usable], arrived.values[usable]
        self.workload.begin(arrived, batches)
        self.restarts.begin(arrived, batches)
        demand = self.workload.demand(times, ids, batches[usable])
        runs = self.restarts.runs(times, ids, batches[usable])
        self.workload.end()
        self.restarts.end()
        return Admitted(times, ids, values, demand, runs)

    def clean(self, admitted: Admitted) -> Clean:
        """Distinct series, admitted: counters as rates, without the first sample of each."""
        times, ids, values = admitted.times, admitted.ids, admitted.values.copy()
        seconds, fell = np.full(len(ids), np.nan), np.zeros(len(ids), np.bool_)
        counters = np.flatnonzero(self._kinds[ids] == Kind.COUNTER)
        if len(counters):
            counts, counted = values[counters], ids[counters]
            fell[counters] = counts < _RESET * self.rates.value[counted]
            seconds[counters] = np.maximum(times[counters] - self.rates.time[counted], 1) / 1_000
            values[counters] = self.rates.step(counted, times[counters], counts)
        self.restarts.step(ids, times, admitted.runs, fell)
        first, rated = np.flatnonzero(np.isnan(values)), np.flatnonzero(~np.isnan(values))
        self.workload.note(ids[first], _demand(admitted.demand, first))
        known = Columns(times, ids, values)
        return self._judged(_taken(known, rated), _demand(admitted.demand, rated), seconds[rated])

    def _judged(self, columns: Columns, demand: Demand, seconds: Floats) -> Clean:
        verdict = self.workload.judge(columns, demand, seconds)
        there, gone = np.flatnonzero(verdict.admitted), np.flatnonzero(~verdict.present)
        judged = _taken(replace(columns, values=verdict.judged), there)
        restarted = self.restarts.taken(judged.ids)
        if restarted.any():
            judged = replace(judged, restarted=restarted)
        plain = columns if not len(gone) else _taken(columns, np.flatnonzero(verdict.present))
        absent = replace(_taken(columns, gone), values=np.full(len(gone), np.nan))
        return Clean(plain, judged, verdict.base[there], seconds[there], absent)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` must follow."""
        self._kinds = np.empty(0, np.int64)
        self.rates.remap(remap.new_ids, remap.size)
        self.workload.remap(remap)
        self.restarts.remap(remap)

    def snapshot(self, size: int) -> State:
        """What must survive a restart, as copies, of the series below id `size`."""
        work = {f"work_{name}": array for name, array in self.workload.snapshot(size).items()}
        runs = {f"run_{name}": array for name, array in self.restarts.snapshot(size).items()}
        return self.rates.snapshot(size) | work | runs

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        for prefix, room in (("work_", self.workload), ("run_", self.restarts)):
            room.restore(part(prefix, state), size)
        self.rates.restore(state, size)


def _taken(columns: Columns, places: Ints) -> Columns:
    return Columns(columns.times[places], columns.ids[places], columns.values[places])


def _demand(demand: Demand, places: Ints) -> Demand:
    return Demand(demand.state[places], demand.load[places])
