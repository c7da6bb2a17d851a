"""Demand: what an engine or a GPU has to do, and what of its samples says something about it.

Idle is an engine in which nothing runs and nothing waits, and a GPU that is not in use while the engines of
its pod, where it names one, are idle. Idle windows reach no detector: a quiet night would teach zeros, and
the morning would alarm. What gets done is judged against the load: its logarithm, less what is usual at as
many requests (or, of a GPU, at such a utilisation); a high value is no anomaly, for demand asked for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown, remapped, taken_over
from detectors.contract import Columns, State
from detectors.workload.baselines import Baselines
from detectors.workload.domains import Domains
from detectors.workload.roles import (
    BUSY,
    FREE,
    IDLE,
    QUEUED,
    UNKNOWN,
    Role,
    Signal,
    concerned,
    role_of,
    signal_of,
)
from detectors.workload.signals import Signals, asked_once
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

_BASED = np.isin(np.arange(len(Role)), (Role.PROGRESS, Role.TURNOVER, Role.GPU_WORK))  # by role


@dataclass(frozen=True, slots=True)
class Demand:
    """What there was to do as of some samples, `[n]`: a state, and how much (requests, or per cent)."""

    state: Ints
    load: Floats

    def at(self, places: Ints | slice) -> Demand:
        """Of the samples at these places."""
        return Demand(self.state[places], self.load[places])


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of some samples, `[n]`: whether they say something, whether about their series alone, and what.

    `judged` is what to judge. A `base` that is not NaN was taken off: from the logarithm of a rate, or from
    the value of a gauge; `shown` takes results back to the metric.
    """

    present: Flags
    admitted: Flags
    judged: Floats
    base: Floats


class Workload:
    """Which series have to do with demand, and what was known of it at the sample before."""

    ARRAYS = ("state", "load", "settled")

    def __init__(self) -> None:
        self.signals = Signals()
        self.baselines = Baselines()
        self.role: Ints = np.empty(0, np.int8)
        self.state: Ints = np.empty(0, np.int8)  # at the sample before
        self.load: Floats = np.empty(0, np.float32)
        self.settled: Ints = np.empty(0, np.int64)  # when heat is judged again; while idle -(since when)
        self._domain: Ints = np.empty(0, np.int64)
        self._domains = Domains()
        self._plain: dict[str, bool] = {}  # names that have nothing to do with demand

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self.signals.reserve(size)
        self.baselines.reserve(size)
        for name in (*self.ARRAYS, "role"):
            setattr(self, name, grown(getattr(self, name), size, 0))
        self._domain = grown(self._domain, size, -1)

    def notice(self, window: Window, known: int, names: Sequence[str]) -> None:
        """Look at the series from id `known` on, of these metrics: they are new; from 0 all are looked at."""
        if known == 0:
            self._domains = Domains()
        for sid, name in enumerate(names, known):
            plain = self._plain.get(name)
            if plain is None:
                plain = self._plain[name] = not concerned(name)
            if plain:
                continue
            labels = window.labels(sid)
            role = role_of(name, labels)
            signal = signal_of(name, labels)
            if signal is not None:
                self._domains.add(signal, self.signals.add(sid), labels)
            self.role[sid] = role
            if role:
                self._domain[sid] = self._domains.of(labels, role)
            if _BASED[role]:
                self.baselines.add(sid)

    def begin(self, arrived: Columns, batches: Ints) -> None:
        """All that arrived, and which batch each sample came with."""
        self.signals.begin(arrived, batches)

    def end(self) -> None:
        """The step is over."""
        self.signals.end()

    def demand(self, times: Ints, ids: Ints, batches: Ints) -> Demand:
        """What there was to do as of these samples."""
        state, load = np.zeros(len(ids), np.int64), np.full(len(ids), np.nan)
        some = np.flatnonzero(self.role[ids] > 0)
        if len(some):
            domain = self._domain[ids[some]]
            *asked, place = asked_once(domain, times[some], batches[some], self._domains.count)
            found = self._of_domains(*asked)
            state[some], load[some] = found.state[place], found.load[place]
        return Demand(state, load)

    def _of_domains(self, domains: Ints, times: Ints, batches: Ints) -> Demand:
        running, waiting, in_use = (
            self._sum(signal, domains, times, batches)
            for signal in (Signal.RUNNING, Signal.WAITING, Signal.IN_USE)
        )
        behind = self._sum(Signal.RUNNING, self._domains.pods[domains], times, batches)
        work = np.fmax(np.fmax(running, waiting), np.fmax(in_use, behind))
        found = np.where(np.isnan(np.fmax(running, in_use)), UNKNOWN, np.where(work > 0, BUSY, IDLE))
        found[~self._domains.told(domains)] = FREE
        return Demand(np.where((found == BUSY) & (waiting > 0), QUEUED, found), np.fmax(running, in_use))

    def _sum(self, signal: Signal, domains: Ints, times: Ints, batches: Ints) -> Floats:
        """NaN where nobody tells; one of several that is not known counts as 0."""
        total = np.full(len(domains), np.nan)
        known = np.flatnonzero(domains >= 0)
        place, numbers = self._domains.sources(signal).of(domains[known])
        if not len(place):
            return total
        asked = known[place]
        value = self.signals.at(numbers, times[asked], batches[asked])
        told = np.flatnonzero(~np.isnan(value))
        asked, value = asked[told], value[told]
        total[asked] = 0.0
        np.add.at(total, asked, value)
        return total

    def judge(self, columns: Columns, demand: Demand, seconds: Floats) -> Verdict:
        """What distinct series say; `seconds` is how long the window of a counter was, NaN for others."""
        from detectors.workload.verdicts import judge

        count, own = len(columns.ids), self.baselines
        verdict = Verdict(
            np.empty(count, np.bool_), np.empty(count, np.bool_), np.empty(count), np.empty(count)
        )
        judge(
            columns.times, columns.ids, columns.values, seconds, demand.state, demand.load,
            self.role, self.state, self.load, self.settled, own.number, own.count, own.level, own.spread,
            own.still, own.windows, own.stood,
            verdict.present, verdict.admitted, verdict.judged, verdict.base,
        )  # fmt: skip
        return verdict

    def note(self, ids: Ints, demand: Demand) -> None:
        """What there was to do at the newest sample of these series, distinct."""
        self.state[ids], self.load[ids] = demand.state, demand.load

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` must follow."""
        for name in self.ARRAYS:
            setattr(self, name, remapped(getattr(self, name), remap.new_ids, remap.size, 0))
        self.role = np.zeros(remap.size, np.int8)
        self._domain = np.full(remap.size, -1)
        self.signals.remap(remap.new_ids, remap.size)
        self.baselines.remap(remap.new_ids, remap.size)

    def snapshot(self, size: int) -> State:
        """What must survive a restart, as copies, of the series below id `size`."""
        own = {name: getattr(self, name)[:size].copy() for name in self.ARRAYS}
        signals = {f"signal_{name}": array for name, array in self.signals.snapshot(size).items()}
        usual = {f"usual_{name}": array for name, array in self.baselines.snapshot(size).items()}
        return own | signals | usual

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        self.signals.restore(part("signal_", state), size)
        self.baselines.restore(part("usual_", state), size)
        taken_over(self, self.ARRAYS, state, size)


def shown(values: Floats, base: Floats, seconds: Floats) -> Floats:
    """What was said of a rest, `[n, results]`, in the units of the metric."""
    back = values + base[:, None]
    with np.errstate(over="ignore"):
        rates = np.maximum(np.exp(back) - 1 / seconds[:, None], 0.0)
    found: Floats = np.where(np.isnan(seconds)[:, None], back, rates)
    return found


def part(prefix: str, state: Mapping[str, NDArray[Any]]) -> State:
    """What of a state has names with this prefix, without it."""
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
