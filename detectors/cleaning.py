"""What reaches a detector: series that deserve it, counters as reset-safe rates, no idle windows."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown
from detectors.contract import EMPTY, EXPECTED_HIGH, EXPECTED_LOW, NONE, Columns, Results, State
from detectors.eligible import Kind, kind_of
from detectors.rates import RESET, CounterRates
from detectors.restarts import JUDGED, PLAIN, Restarts
from detectors.workload.watch import Demand, Workload, part, shown
from model.labels import NAME
from model.matcher import Matcher, Op
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

log = logging.getLogger("fleetowl.detectors")
NOWHERE: Floats = np.empty(0)
NOTHING = Columns(EMPTY, EMPTY, NOWHERE)


@dataclass(frozen=True, slots=True)
class Admitted:
    """Samples that may reach a detector, `[n]`, and where they stand in all that arrived.

    Of those that have to do with demand it is there as it was when they came; `demand` is None of others.
    """

    times: Ints
    ids: Ints
    values: Floats
    places: Ints
    demand: Demand | None

    def at(self, places: Ints | slice) -> Admitted:
        """Those at these places."""
        demand = self.demand and self.demand.at(places)
        return Admitted(
            self.times[places], self.ids[places], self.values[places], self.places[places], demand
        )


@dataclass(frozen=True, slots=True)
class Clean:
    """Samples of distinct series: as they are, as they are judged, and what went idle.

    `plain` is for whoever compares series; `judged` for whoever knows one series: what gets done is there as
    a rest from what is usual at its load. Of `absent` nothing is known any more as of these times.
    """

    plain: Columns
    judged: Columns
    base: Floats = field(default_factory=lambda: NOWHERE)  # of the judged, `[n]`, or empty: there is none
    seconds: Floats = field(default_factory=lambda: NOWHERE)
    absent: Columns = NOTHING

    def shown(self, results: Results, names: tuple[str, ...]) -> Results:
        """Results of what is judged, with expectations in the units of the metrics."""
        columns = [place for place, name in enumerate(names) if name in (EXPECTED_LOW, EXPECTED_HIGH)]
        if not columns or not len(results.subjects) or not len(self.base):
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
        self._kinds: NDArray[np.int8] = np.empty(0, np.int8)
        self._telling: Flags = np.empty(0, np.bool_)  # of others
        self._ends: Ints = EMPTY
        self._places: Ints = np.empty((4, 0), np.int64)  # room, used again at each step
        self._kind_of: dict[str, Kind] = {}  # by name of metric
        self._typed: set[str] = set()  # those whose type is known, so that their kind stays
        self._types: dict[str, str] = {}  # as they were when kinds were last looked at

    def warm(self) -> None:
        """Compile the passes, or load what was compiled before."""
        import detectors.passes
        import detectors.workload.verdicts  # noqa: F401

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self._kinds = grown(self._kinds, size, Kind.NEVER)
        self.rates.reserve(size)
        self.workload.reserve(size)
        self.restarts.reserve(size)

    def notice(self, window: Window, known: int) -> None:
        """Give the series from id `known` on their kind, that of the other series of their metric."""
        names = [window.labels(sid).name for sid in range(known, window.size)]
        if known == 0:  # of what is gone nothing is known any more
            there = set(names)
            self._kind_of = {name: kind for name, kind in self._kind_of.items() if name in there}
            self._typed &= there
        for sid, name in enumerate(names, known):
            if name not in self._kind_of:
                self._kind_of[name] = self._kind(window, name)
            self._kinds[sid] = self._kind_of[name]
        self.workload.notice(window, known, names)
        self.restarts.notice(window, known, names)
        numbers = self.workload.signals.number, self.restarts.signals.number
        self._telling = (numbers[0][: window.size] >= 0) | (numbers[1][: window.size] >= 0)

    def retyped(self, window: Window) -> Ints:
        """The series whose kind is another one now, for only now it is known of what type their metric is.

        As rates their values are others than as a gauge's, or the other way round: they must be renumbered to
        nothing. A type that was known before stays: two senders that disagree would have it change for ever.
        """
        types = window.types()
        if types == self._types:
            return EMPTY
        self._types = dict(types)
        changed = set()
        for name in types.keys() & self._kind_of.keys() - self._typed:
            kind = self._kind(window, name)
            if kind is not self._kind_of[name]:
                self._kind_of[name] = kind
                changed.add(name)
        if not changed:
            return EMPTY
        log.info("series are judged anew, for their type is known now: %s", ", ".join(sorted(changed)))
        return np.concatenate([window.search([Matcher(NAME, Op.EQUAL, name)])[0] for name in changed])

    def _kind(self, window: Window, name: str) -> Kind:
        metric_type = window.type_of(name)
        if metric_type != "unknown":
            self._typed.add(name)
        return kind_of(name, metric_type)

    def admit(self, arrived: Columns, lengths: list[int]) -> tuple[Admitted, Admitted, Ints]:
        """Without the samples that never reach a detector; any number a series.

        `lengths` are those of the batches in which all of it came, one after another. First those that have
        nothing to do with demand, then those that have; then the places of what is not finite. `end` must
        follow once all of it is clean.
        """
        from detectors.passes import CONCERNED, FREE, ODD, TELLING, sift

        if self._places.shape[1] < len(arrived.ids):
            self._places = np.empty((4, len(arrived.ids)), np.int64)
        places = self._places
        counts = sift(arrived.ids, arrived.values, self._kinds, self.workload.role, self._telling, places)
        free, concerned, odd, told = (places[row, : counts[row]] for row in (FREE, CONCERNED, ODD, TELLING))
        self._ends = np.cumsum(lengths)
        events, batches = _taken(arrived, told), np.searchsorted(self._ends, told, "right")
        self.workload.begin(events, batches)
        self.restarts.begin(events, batches)
        judged = _taken(arrived, concerned)
        batches = np.searchsorted(self._ends, concerned, "right")
        demand = self.workload.demand(judged.times, judged.ids, batches)
        columns = arrived if len(free) == len(arrived.ids) else _taken(arrived, free)
        return (
            Admitted(columns.times, columns.ids, columns.values, free, None),
            Admitted(judged.times, judged.ids, judged.values, concerned, demand),
            odd,
        )

    def end(self) -> None:
        """All that was admitted is clean."""
        self.workload.end()
        self.restarts.end()

    def clean(self, admitted: Admitted) -> Clean:
        """Distinct series, admitted: counters as rates, without the first sample of each."""
        self.restarts.step(admitted.times, admitted.ids, admitted.places, self._ends)
        if admitted.demand is not None:
            return self._judged(admitted, admitted.demand)
        from detectors.passes import clean

        count = len(admitted.ids)
        times, ids, values = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count)
        restarted = np.empty(count, np.bool_)
        count = clean(
            admitted.times, admitted.ids, admitted.values, self._kinds, self.rates.value, self.rates.time,
            self.restarts.pending, times, ids, values, restarted,
        )  # fmt: skip
        marks = restarted[:count] if restarted[:count].any() else NONE
        columns = Columns(times[:count], ids[:count], values[:count], marks)
        return Clean(columns, columns)

    def _judged(self, admitted: Admitted, demand: Demand) -> Clean:
        """The same of what is judged by what there is to do."""
        times, ids, values = admitted.times, admitted.ids, admitted.values.copy()
        seconds = np.full(len(ids), np.nan)
        counters = np.flatnonzero(self._kinds[ids] == Kind.COUNTER)
        if len(counters):
            counts, counted = values[counters], ids[counters]
            fell = counts < RESET * self.rates.value[counted]
            self.restarts.pending[counted[fell]] = JUDGED | PLAIN
            seconds[counters] = np.maximum(times[counters] - self.rates.time[counted], 1) / 1_000
            values[counters] = self.rates.step(counted, times[counters], counts)
        first, rated = np.flatnonzero(np.isnan(values)), np.flatnonzero(~np.isnan(values))
        if len(first):
            self.workload.note(ids[first], demand.at(first))
        columns = Columns(times, ids, values)
        if len(first):
            columns, seconds, demand = _taken(columns, rated), seconds[rated], demand.at(rated)
        verdict = self.workload.judge(columns, demand, seconds)
        there, gone = np.flatnonzero(verdict.admitted), np.flatnonzero(~verdict.present)
        judged = self._marked(_taken(replace(columns, values=verdict.judged), there), JUDGED)
        plain = columns if not len(gone) else _taken(columns, np.flatnonzero(verdict.present))
        absent = replace(_taken(columns, gone), values=np.full(len(gone), np.nan))
        return Clean(self._marked(plain, PLAIN), judged, verdict.base[there], seconds[there], absent)

    def _marked(self, columns: Columns, kind: int) -> Columns:
        marks = self.restarts.taken(columns.ids, kind)
        return replace(columns, restarted=marks) if marks.any() else columns

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` must follow."""
        self._kinds = np.empty(0, np.int8)
        self.rates.remap(remap.new_ids, remap.size)
        self.workload.remap(remap)
        self.restarts.remap(remap)

    def snapshot(self, size: int) -> State:
        """What must survive a restart, as copies, of the series below id `size`."""
        kinds = {"kinds": self._kinds[:size].copy()}
        work = {f"work_{name}": array for name, array in self.workload.snapshot(size).items()}
        runs = {f"run_{name}": array for name, array in self.restarts.snapshot(size).items()}
        return kinds | self.rates.snapshot(size) | work | runs

    def restore(self, state: Mapping[str, NDArray[Any]], window: Window) -> None:
        """Take over a snapshot, made with this very window. Raises KeyError or ValueError."""
        size, kinds = window.size, state["kinds"]
        if kinds.shape != (size,):
            raise ValueError("the kinds do not fit the series")
        self._kind_of = {
            window.labels(sid).name: Kind(kind) for sid, kind in enumerate(np.asarray(kinds).tolist())
        }
        self._typed = {name for name, kind in self._kind_of.items() if kind is not kind_of(name, "unknown")}
        self._types = {}
        for prefix, room in (("work_", self.workload), ("run_", self.restarts)):
            room.restore(part(prefix, state), size)
        self.rates.restore(state, size)
        self.notice(window, 0)  # which signals tell of whom goes by their numbers


def _taken(columns: Columns, places: Ints) -> Columns:
    return Columns(columns.times[places], columns.ids[places], columns.values[places])
