"""Scoring: every arriving sample of every series that deserves it, once and in the order of time.

The window's journal is the cursor: it hands each sample over once, late ones never, so the scores are the
same however often `step` is called. What a rule demands becomes series of the window, beside their source:
`fleetowl_anomaly_score` (> 1 is anomalous), `fleetowl_expected_low` and `fleetowl_expected_high`, with the
source's labels plus `metric` and `detector`. For counters the expected values are rates per second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from detectors.arrays import grown, remapped
from detectors.companions import Companions
from detectors.eligible import Kind, kind_of
from detectors.level import LevelDetector, Scores
from detectors.rates import CounterRates
from detectors.settings import DetectorSettings
from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from model.metric import Metric, Sample
from telemetry.admission import rounds
from telemetry.bits import Floats, Ints, is_stale
from telemetry.window import IdRemap, Window

DETECTOR = "level"
_PIECE = 16_384
METRICS = (
    Metric("fleetowl_detector_series", "gauge", "Series that are scored."),
    Metric("fleetowl_detector_samples_total", "counter", "Samples that the detectors have learned from."),
    Metric("fleetowl_detector_scored_total", "counter", "Samples that got a score (not in warm-up)."),
    Metric("fleetowl_detector_lost_total", "counter", "Samples for which scoring came too late."),
    Metric("fleetowl_detector_refused_total", "counter", "Results that the window did not take."),
)


@dataclass(slots=True)
class ScoringStats:
    """Counts since the start."""

    samples: int = 0
    scored: int = 0


@dataclass(frozen=True, slots=True)
class Current:
    """The newest results of one metric: labels of the source, times (ms) and values, aligned `[n]`."""

    labels: list[Labels]
    times: Ints
    scores: Scores


class Scoring:
    """The level detector over the whole window: the one reader of the window's journal."""

    def __init__(self, window: Window, settings: DetectorSettings | None = None) -> None:
        settings = settings or DetectorSettings()
        self.level = LevelDetector(settings.level)
        self.rates = CounterRates()
        self.stats = ScoringStats()
        self._window = window
        self._enabled = settings.enabled
        self._journal = window.follow()
        self._companions = Companions(window, DETECTOR)
        self._kinds: Ints = np.empty(0, np.int64)
        self._kind_of: dict[tuple[str, str], Kind] = {}
        self._classified = 0  # ids below this have their kind
        self._times: Ints = np.empty(0, np.int64)  # of the newest result
        self._newest = Scores(np.empty(0), np.empty(0), np.empty(0))

    def demand(self, metric: str) -> None:
        """From now on the results of this metric are series of the window; to be said after a restart too."""
        if metric not in self._companions.metrics:
            self._companions.demand(metric)

    def release(self, metric: str, now: int) -> None:
        """Nobody demands the results of this metric any more: their series end at `now` (ms)."""
        self._companions.release(metric, now)

    def step(self, now: int) -> int:
        """Score what has arrived since the last step; returns how many samples got a score."""
        times, ids, values = self._journal.drain()
        if not self._enabled:
            return 0
        self._classify()
        stale = is_stale(values)
        self._companions.end(times[stale], ids[stale])
        usable = (self._kinds[ids] != Kind.NEVER) & np.isfinite(values)
        times, ids, values = times[usable], ids[usable], values[usable]
        return sum(
            self._score(times[part], ids[part], values[part])
            for turn in rounds(times, ids)
            for part in _pieces(turn)
        )

    def current(self, metric: str) -> Current:
        """The newest results of one metric, of the series that have any and are alive."""
        found = self._window.select([Matcher(NAME, Op.EQUAL, metric)])
        ids = np.concatenate([np.empty(0, np.int64), *(selection.ids for selection in found)])
        self._reserve()
        ids = ids[~np.isnan(self._newest.score[ids]) & ~is_stale(self._window.last(ids)[1])]
        labels = [self._window.labels(sid) for sid in ids.tolist()]
        return Current(labels, self._times[ids], Scores(*(column[ids] for column in self._newest)))

    def remap(self, remap: IdRemap) -> None:
        """Follow the window's compaction."""
        new_ids, size = remap.new_ids, remap.size
        self.level.remap(new_ids, size)
        self.rates.remap(new_ids, size)
        self._times = remapped(self._times, new_ids, size, 0)
        self._newest = Scores(*(remapped(column, new_ids, size, np.nan) for column in self._newest))
        self._kinds = np.empty(0, np.int64)
        self._companions.renumbered()
        self._classified = 0  # the next step looks at all series again

    def snapshot(self) -> dict[str, Floats | Ints]:
        """The state as named arrays, copies; it fits the window as it is at this moment."""
        self._reserve()
        pending = self._journal.peek()
        return {
            "size": np.array([self._window.size]),
            **{name: array.copy() for name, array in self._state().items()},
            **dict(zip(("pending_times", "pending_ids", "pending_values"), pending, strict=True)),
        }

    def restore(self, state: Mapping[str, Floats | Ints]) -> str:
        """Take over the state of `snapshot`, made with this very window.

        Returns a sentence: that it was taken over, or why not; then scoring starts from nothing.
        """
        self._reserve()
        if not self._fits(state):
            return "The detectors' state does not fit the window: they start from nothing."
        for name, array in self._state().items():
            array[:] = state[name]
        self._journal.drain()
        times, ids = np.array(state["pending_times"], np.int64), np.array(state["pending_ids"], np.int64)
        if len(ids):
            self._journal.record(times, ids, np.array(state["pending_values"], np.float64))
        return f"The detectors go on with {int((self.level.count > 0).sum())} series."

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        yield Sample("fleetowl_detector_series", {}, int((self.level.count > 0).sum()))
        yield Sample("fleetowl_detector_samples_total", {}, self.stats.samples)
        yield Sample("fleetowl_detector_scored_total", {}, self.stats.scored)
        yield Sample("fleetowl_detector_lost_total", {}, self._journal.lost)
        yield Sample("fleetowl_detector_refused_total", {}, self._companions.refused)

    def _score(self, times: Ints, ids: Ints, values: Floats) -> int:
        """One sample each of distinct series."""
        counters = np.flatnonzero(self._kinds[ids] == Kind.COUNTER)
        if len(counters):
            values[counters] = self.rates.step(ids[counters], times[counters], values[counters])
            rated = ~np.isnan(values)
            if not rated.all():  # the first sample of a counter has no rate
                times, ids, values = times[rated], ids[rated], values[rated]
        scores = self.level.step(ids, values)
        self._times[ids] = times
        for newest, column in zip(self._newest, scores, strict=True):
            newest[ids] = column
        self._companions.write(times, ids, scores)
        scored = int((~np.isnan(scores.score)).sum())
        self.stats.samples += len(ids)
        self.stats.scored += scored
        return scored

    def _classify(self) -> None:
        """Give the series that are new their kind."""
        self._reserve()
        known, self._classified = self._classified, self._window.size
        for sid in range(known, self._window.size):
            name = self._window.labels(sid).name
            key = name, self._window.type_of(name)
            if key not in self._kind_of:
                self._kind_of[key] = kind_of(*key)
            self._kinds[sid] = self._kind_of[key]
        self._companions.notice(known)

    def _reserve(self) -> None:
        size = self._window.size
        self._kinds = grown(self._kinds, size, Kind.NEVER)
        self._times = grown(self._times, size, 0)
        self._newest = Scores(*(grown(column, size, np.nan) for column in self._newest))
        self.level.reserve(size)
        self.rates.reserve(size)

    def _fits(self, state: Mapping[str, Floats | Ints]) -> bool:
        own = self._state()
        wanted = {"size", "pending_times", "pending_ids", "pending_values", *own}
        if not wanted <= set(state) or int(state["size"][0]) != self._window.size:
            return False
        return all(state[name].shape == array.shape for name, array in own.items())

    def _state(self) -> dict[str, Floats | Ints]:
        """What must survive a restart, as views of the ids in use."""
        arrays = {f"level_{name}": getattr(self.level, name) for name in self.level.ARRAYS}
        arrays |= {f"rate_{name}": getattr(self.rates, name) for name in self.rates.ARRAYS}
        arrays |= {f"newest_{name}": array for name, array in self._newest._asdict().items()}
        arrays["newest_time"] = self._times
        return {name: array[: self._window.size] for name, array in arrays.items()}


def _pieces(places: Ints) -> Iterator[Ints]:
    """Pieces whose intermediate arrays stay in the processor's cache."""
    for start in range(0, len(places), _PIECE):
        yield places[start : start + _PIECE]
