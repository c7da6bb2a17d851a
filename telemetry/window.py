"""The window: the last minutes of every series, in memory, as rules and detectors read them.

A series has a dense id; a target (one scrape endpoint, one agent, one remote writer) holds ids. The samples
of a scrape share their time and are written with one scatter. Head: the last value and time of every series.
Slabs: the recent history. No accepted sample is overwritten within retention: when a ring would do so, its
group moves to one with twice the slots, and past the memory budget the sample is refused and counted.

Times are ms since the epoch. What is "too old" or "too far ahead" is measured against the time that
`advance` was told last; before that nothing is too far ahead, and age is measured against the newest sample.
One thread writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from model.labels import NAME, Labels
from model.matcher import Matcher
from model.metric import Metric, Sample
from model.moment import MINUTE
from telemetry.admission import Appended, Horizon
from telemetry.bits import Flags, Floats, Ints
from telemetry.journal import Journal
from telemetry.registry import LimitExceeded, Registry
from telemetry.selection import Selection
from telemetry.settings import WindowLimits
from telemetry.storage import NOBODY, Storage
from telemetry.targets import Target
from telemetry.writer import Writer

__all__ = ["METRICS", "Appended", "IdRemap", "LimitExceeded", "Selection", "Target", "Window", "WindowLimits"]

METRICS = (
    Metric("fleetowl_window_series", "gauge", "Series in the window."),
    Metric("fleetowl_window_bytes", "gauge", "Memory reserved for samples and their times."),
    Metric("fleetowl_window_memory_limit_bytes", "gauge", "Memory that may be reserved for samples."),
    Metric("fleetowl_window_samples_appended_total", "counter", "Samples stored."),
    Metric(
        "fleetowl_window_samples_late_total", "counter", "Samples stored after a younger one of their series."
    ),
    Metric("fleetowl_window_samples_refused_total", "counter", "Samples not stored, by reason.", ("reason",)),
    Metric("fleetowl_window_series_added_total", "counter", "Series that were new."),
    Metric("fleetowl_window_series_dropped_total", "counter", "Series dropped: silent, or target gone."),
    Metric("fleetowl_window_growths_total", "counter", "Moves of groups of series to rings with more slots."),
    Metric("fleetowl_window_compactions_total", "counter", "Renumberings of all series."),
)


@dataclass(slots=True)
class WindowStats:
    """Counts of samples since the start."""

    appended: int = 0
    late: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    compactions: int = 0

    def count(self, result: Appended) -> Appended:
        """Add what became of one append, and pass it on."""
        self.appended += result.accepted
        self.late += result.late
        for reason, count in result.refused.items():
            self.refused[reason] = self.refused.get(reason, 0) + count
        return result


@dataclass(frozen=True, slots=True)
class IdRemap:
    """After a compaction: `new_ids[old id]` is the new id, -1 for a dropped series; `size` ids are left."""

    new_ids: Ints
    size: int

    def apply(self, ids: Ints) -> Ints:
        """The new ids of `ids`, -1 for those that are gone."""
        return self.new_ids[ids]


class Window:
    """Head, slabs and index over all series. See the module's docstring."""

    def __init__(self, retention: int = 15 * MINUTE, limits: WindowLimits | None = None) -> None:
        self.retention = retention
        self.limits = limits or WindowLimits()
        self.stats = WindowStats()
        self.numbering = 0  # changes when ids are renumbered: ids kept elsewhere are void then
        self.horizon = Horizon(retention, self.limits.max_ahead)
        self.storage = Storage(self.limits.memory)
        self.registry = Registry(self.storage, retention, self.limits)
        self.writer = Writer(self.registry, self.horizon)
        self._selected: dict[tuple[Matcher, ...], list[Selection]] = {}
        self._selected_at = (-1, -1)
        self._noted: set[tuple[Matcher, ...]] | None = None

    # What the window knows of itself.

    @property
    def generation(self) -> int:
        """Changes when series are added, moved or dropped."""
        return self.registry.generation

    @property
    def version(self) -> tuple[int, int]:
        """What a selection is valid for: it changes when one would find other series or other places."""
        return self.generation, self.storage.layout

    @property
    def size(self) -> int:
        """All ids are smaller than this; some may belong to dropped series until `compact`."""
        return self.storage.series.size

    @property
    def series_count(self) -> int:
        """Living series."""
        return len(self.registry.id_of)

    @property
    def bytes(self) -> int:
        """Memory reserved for samples and their times."""
        return self.storage.budget.used

    def advance(self, now: int) -> None:
        """Say what time it is; the analyzer does so before each tick and each ingest."""
        self.horizon.now = now

    def follow(self) -> Journal:
        """The journal of arrivals from now on; there is one, for one reader."""
        if self.writer.journal is None:
            self.writer.journal = Journal()
        return self.writer.journal

    # Targets and series.

    def target(self, key: str, interval: int) -> Target:
        """The target of this key; get or make. With another interval than before its ring is changed.

        `interval` in ms; 0 for a sender whose samples share no time. Raises LimitExceeded("memory").
        """
        return self.registry.target(key, interval)

    def drop_target(self, key: str) -> int:
        """Drop a target and all its series; returns how many. Their ids are void."""
        return self.registry.drop_target(key)

    def series(self, target: Target, labels: Labels, metric_type: str = "unknown") -> int:
        """The id of a series (labels with `__name__`); get or make. `metric_type` as after `# TYPE`.

        A series that two targets send gets its own time column, and both may write to it.
        Raises LimitExceeded ("series_limit", "memory").
        """
        return self.registry.series(target, labels, metric_type)

    def find(self, labels: Labels) -> int | None:
        """The id of a series, None if there is none."""
        return self.registry.id_of.get(labels)

    def alive(self, ids: Ints) -> Flags:
        """Which ids belong to series that were not dropped."""
        living: Flags = self.storage.series.owner[ids] != NOBODY
        return living

    def labels(self, sid: int) -> Labels:
        """The labels of a series."""
        return self.registry.labels[sid]

    def target_of(self, sid: int) -> Target:
        """The target that sends a living series."""
        return self.registry.owner(sid)

    def type_of(self, metric: str) -> str:
        """counter, gauge, histogram, summary or unknown."""
        return self.registry.types.get(metric, "unknown")

    def metric_names(self) -> list[str]:
        """Names of all metrics, sorted."""
        return self.registry.index.values(NAME)

    def label_names(self) -> list[str]:
        """Names of all labels, sorted."""
        return self.registry.index.names()

    def label_values(self, name: str) -> list[str]:
        """All values of a label, sorted."""
        return self.registry.index.values(name)

    def types(self) -> Mapping[str, str]:
        """The type of each metric of which it is known."""
        return self.registry.types

    # Writing.

    def append(self, target: Target, time: int, ids: Ints, values: Floats) -> Appended:
        """Store samples that share one time: `ids` and `values` are of one length and are not kept.

        A second batch of the same time joins the first. Of two samples of one series and time the first wins;
        a second one that differs is refused as duplicate.
        """
        return self.stats.count(self.writer.append(target, time, ids, values))

    def append_each(self, target: Target, times: Ints, ids: Ints, values: Floats) -> Appended:
        """Store samples with times of their own; the three arrays are of one length and are not kept.

        A series of a target with an interval gets a time column of its own by this, unless the target has
        samples of just that time.
        """
        return self.stats.count(self.writer.append_each(times, ids, values))

    def append_beside(self, times: Ints, ids: Ints, values: Floats) -> Appended:
        """As append_each, for values computed from samples of these times (scores): not in the journal."""
        return self.stats.count(self.writer.append_beside(times, ids, values))

    def mark_stale(self, target: Target, time: int, ids: Ints | None = None) -> Appended:
        """Say that these series of the target, or all, have ended at `time`: Prometheus' stale marker."""
        return self.stats.count(self.writer.mark_stale(target, time, ids))

    # Reading.

    def settle(self) -> None:
        """Bring late samples into the order of time. Reads do so themselves."""
        self.storage.settle()

    def last(self, ids: Ints) -> tuple[Ints, Floats]:
        """(times, values) of the newest sample of each series; copies. It may be the stale marker."""
        return self.storage.series.last_time[ids], self.storage.series.last_value[ids]

    def select(self, matchers: Sequence[Matcher]) -> list[Selection]:
        """The series that satisfy all matchers, one Selection for each slab (name and interval).

        The answer is kept until series are added, moved or dropped. Raises InvalidMatcher.
        """
        self.settle()
        key, version = tuple(matchers), self.version
        if self._selected_at != version:
            self._selected.clear()
            self._selected_at = version
        if key not in self._selected:
            self._selected[key] = self._search(key)
            if self._noted is not None:
                self._noted.add(key)
        return self._selected[key]

    @contextmanager
    def noting(self, selected: set[tuple[Matcher, ...]]) -> Iterator[None]:
        """Note in `selected` what is selected anew in between, for `forget`.

        What the window is asked once, by people, must not be kept as what it is asked at every tick.
        """
        before, self._noted = self._noted, selected
        try:
            yield
        finally:
            self._noted = before

    def forget(self, selected: Iterable[tuple[Matcher, ...]]) -> None:
        """Keep the answers to these no longer; they are looked up again when they are asked for."""
        for key in selected:
            self._selected.pop(key, None)

    def search(self, matchers: Sequence[Matcher]) -> tuple[Ints, Sequence[Labels]]:
        """The ids of the living series that satisfy all matchers, ascending, and the labels by id.

        Both stay as they are while series come and go. Unlike `select`, nothing is remembered.
        Raises InvalidMatcher.
        """
        labels = self.registry.labels
        return self.registry.index.search(matchers, labels), labels

    def oldest(self) -> int | None:
        """The time (ms) of the oldest sample that is there, None if there is none."""
        self.settle()
        found = [cadence.oldest() for cadence in self.storage.cadences]
        return min((time for time in found if time is not None), default=None)

    def _search(self, matchers: tuple[Matcher, ...]) -> list[Selection]:
        labels = self.registry.labels
        ids = self.registry.index.search(matchers, labels)
        slab = self.storage.series.slab[ids]
        order = np.argsort(slab, kind="stable")
        parts = np.split(ids[order], np.flatnonzero(np.diff(slab[order])) + 1) if len(ids) else []
        selections = []
        for part in parts:
            home = self.storage.slabs[self.storage.series.slab[part[0]]]
            interval = self.storage.cadences[home.cadence].interval
            rows = [labels[sid] for sid in part.tolist()]
            selections.append(Selection(self.storage, home.name, interval, part, rows))
        return selections

    # Housekeeping.

    def compact(self, now: int, slack: float = 0.0) -> IdRemap | None:
        """Drop the series without a sample in the retention before `now`, then renumber the rest.

        A target without series is dropped too: ask for it by its key again, rather than keep it.
        None if no id is void, or if the void ones are no more than the part `slack` of all: then nothing is
        renumbered. Everyone who keeps ids must apply the answer.
        """
        series = self.storage.series
        living = series.owner[: series.size] != NOBODY
        dead: Flags = living & (series.last_time[: series.size] <= now - self.retention)
        self.registry.drop(np.flatnonzero(dead))
        self.registry.drop_empty_targets()
        void = series.size - self.series_count
        if void <= slack * series.size:
            return None
        new_ids = self.registry.renumber()
        if self.writer.journal is not None:
            self.writer.journal.remap(new_ids)
        self.numbering += 1
        self.stats.compactions += 1
        return IdRemap(new_ids, self.size)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        stats, registry = self.stats, self.registry
        yield Sample("fleetowl_window_series", {}, self.series_count)
        yield Sample("fleetowl_window_bytes", {}, self.bytes)
        yield Sample("fleetowl_window_memory_limit_bytes", {}, self.limits.memory)
        yield Sample("fleetowl_window_samples_appended_total", {}, stats.appended)
        yield Sample("fleetowl_window_samples_late_total", {}, stats.late)
        for reason, count in sorted(stats.refused.items()):
            yield Sample("fleetowl_window_samples_refused_total", {"reason": reason}, count)
        yield Sample("fleetowl_window_series_added_total", {}, registry.added)
        yield Sample("fleetowl_window_series_dropped_total", {}, registry.dropped)
        yield Sample("fleetowl_window_growths_total", {}, registry.growths)
        yield Sample("fleetowl_window_compactions_total", {}, stats.compactions)
