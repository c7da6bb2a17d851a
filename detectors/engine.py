"""Scoring: every arriving sample of every series that deserves it, once and in the order of time.

The window's journal is the cursor: it hands each sample over once, late ones never, so the scores are the
same however often `step` is called. What the detectors find becomes series of the window: of entities always,
of series for those metrics that a rule or a query demands. For counters, values are rates per second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.assembly import detectors_of
from detectors.cleaning import Admitted, Cleaning
from detectors.companions import Effort
from detectors.contract import Columns, MomentDetector, State, StreamDetector
from detectors.explanation import Explanation
from detectors.jobs import Jobs
from detectors.lanes import Lane
from detectors.moments import Moments
from detectors.settings import DetectorSettings
from model.metric import Metric, Sample
from telemetry.admission import distinct, rounds
from telemetry.bits import Flags, Floats, Ints, is_stale
from telemetry.window import IdRemap, Window

_PIECE = 16_384
_RATE, _MOMENTS = "rate@2", "moments@1"  # a snapshot of another version has other keys
METRICS = (
    Metric("fleetowl_detector_series", "gauge", "Series that are scored."),
    Metric("fleetowl_detector_bytes", "gauge", "Memory of what a detector keeps.", ("detector",)),
    Metric("fleetowl_detector_samples_total", "counter", "Samples that the detectors have learned from."),
    Metric("fleetowl_detector_lost_total", "counter", "Samples for which scoring came too late."),
    Metric(
        "fleetowl_detector_refused_total", "counter", "Results that the window did not take.", ("detector",)
    ),
    Metric(
        "fleetowl_detector_postponed_total",
        "counter",
        "Results left out because too many new series were due at once; the next steps make them.",
        ("detector",),
    ),
)


@dataclass(slots=True)
class ScoringStats:
    """Counts since the start."""

    samples: int = 0


class Scoring:
    """All detectors over the whole window: the one reader of the window's journal."""

    def __init__(self, window: Window, settings: DetectorSettings | None = None) -> None:
        settings = settings or DetectorSettings()
        self.stats = ScoringStats()
        self._window = window
        self._enabled = settings.enabled
        self._journal = window.follow()
        self._cleaning = Cleaning()
        self._moments = Moments(settings.moment_interval, settings.moment_grace)
        self.detectors = detectors_of(settings)
        self.jobs = Jobs()
        self._effort = Effort()
        self._lanes = [Lane(window, detector, self._effort) for detector in self.detectors]
        self._seen: Flags = np.empty(0, np.bool_)  # series that gave a sample to learn from
        self._noticed = 0  # ids below this are known to all

    def warm(self, told: Callable[[int, int], None] = lambda done, of: None) -> None:
        """Import and compile what a step would otherwise wait for; the tick must not.

        `told` hears how many of how many parts are ready.
        """
        if self._enabled:
            parts = self._cleaning, *self.detectors
            for done, part in enumerate(parts):
                told(done, len(parts))
                part.warm()

    def demand(self, metric: str, result: str | None = None, detector: str | None = None) -> None:
        """From now on the results of this metric are series of the window; to be said after a restart too.

        Only those of that name, or of that detector, where these are given. Each demand is released once.
        """
        for lane in self._chosen(result, detector):
            lane.demand(metric, result)

    def release(self, metric: str, now: int, result: str | None = None, detector: str | None = None) -> None:
        """Take back one `demand`. After the last the series of the results end at `now` (ms)."""
        for lane in self._chosen(result, detector):
            lane.release(metric, now, result)

    def cost(self, result: str | None = None, detector: str | None = None) -> int:
        """How many series such a demand makes of one source, at most."""
        lanes = self._chosen(result, detector)
        each = (1 if result else len(lane.detector.results) for lane in lanes if lane.detector.by_source)
        return sum(each)

    def step(self, now: int) -> int:
        """Score what has arrived since the last step; returns how many samples were learned from."""
        lengths = self._journal.lengths
        arrived = Columns(*self._journal.drain())
        if not self._enabled:
            return 0
        self.jobs.collect()
        self._effort.begin()
        self._notice()
        self._begin_anew(self._cleaning.retyped(self._window), now)
        before = self.stats.samples
        watched = self._watched()
        *admitted, odd = self._cleaning.admit(arrived, lengths)
        self._end(arrived, odd, watched)
        for samples in admitted:
            for part in _pieces(samples):
                self._stream(samples.at(part), watched)
        self._cleaning.end()
        for moment in self._moments.due(now):
            for lane in self._lanes:
                if isinstance(lane.detector, MomentDetector):
                    lane.write(lane.detector.step(moment))
                    self.jobs.take(lane.detector.name, lane.detector.jobs())
        return self.stats.samples - before

    def remap(self, remap: IdRemap) -> None:
        """Follow the window's compaction."""
        self._reserve(len(remap.new_ids))
        self._cleaning.remap(remap)
        self._moments.remap(remap)
        for lane in self._lanes:
            lane.detector.remap(remap)
            lane.renumbered(remap)
        old = np.flatnonzero(remap.new_ids >= 0)
        seen = np.zeros(remap.size, np.bool_)
        seen[remap.new_ids[old]] = self._seen[old]
        self._seen = seen
        self._noticed = 0  # the next step looks at all series again

    def snapshot(self) -> State:
        """The state as named arrays, copies; it fits the window as it is at this moment."""
        size = self._window.size
        self._notice()
        pending = self._journal.peek()
        return {
            "size": np.array([size]),
            "seen": self._seen[:size].copy(),
            **_prefixed(_RATE, self._cleaning.snapshot(size)),
            **_prefixed(_MOMENTS, self._moments.snapshot(size)),
            **{
                key: array
                for detector in self.detectors
                for key, array in _prefixed(_key(detector), detector.snapshot(size)).items()
            },
            **dict(zip(("pending_times", "pending_ids", "pending_values"), pending, strict=True)),
            "pending_lengths": np.array(self._journal.lengths, np.int64),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> str:
        """Take over the state of `snapshot`, made with this very window.

        Returns a sentence: what was taken over, and what not; that starts from nothing.
        """
        size = self._window.size
        self._notice()
        try:
            pending = self._taken_over(state, size)
        except Exception:  # damaged in whatever way: half a state is worse than none
            self._cleaning = Cleaning()
            self._moments = Moments(self._moments.interval, self._moments.grace)
            self._noticed = 0
            self._notice()
            return "The detectors' state does not fit the window: they start from nothing."
        fresh = [detector.name for detector in self.detectors if not _restored(detector, state, size)]
        self._seen[:size] = state["seen"]
        self._journal.drain()
        for times, ids, values in pending:
            self._journal.record(times, ids, values)
        but = f"; from nothing start: {', '.join(fresh)}" if fresh else ""
        return f"The detectors go on with {int(self._seen.sum())} series{but}."

    def _taken_over(self, state: Mapping[str, NDArray[Any]], size: int) -> list[tuple[Ints, Ints, Floats]]:
        """What is kept here, not in a detector; returns the batches that waited. Raises what it likes."""
        if int(state["size"][0]) != size or state["seen"].shape != (size,):
            raise ValueError("it is of another window")
        times, ids = (np.array(state[f"pending_{name}"], np.int64) for name in ("times", "ids"))
        values, lengths = np.array(state["pending_values"], np.float64), state["pending_lengths"]
        if not len(times) == len(ids) == len(values) == int(lengths.sum()) or (lengths < 0).any():
            raise ValueError("what waited does not fit")
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size:
            raise ValueError("what waited is of no series")
        self._cleaning.restore(_part(_RATE, state), self._window)
        self._moments.restore(_part(_MOMENTS, state), size)
        ends = np.cumsum(lengths)
        parts = [
            slice(end - length, end) for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        ]
        return [(times[part], ids[part], values[part]) for part in parts]

    def explain(self, labels: Mapping[str, str]) -> Explanation | None:
        """What a detector knows of the subject that these labels (of an alert, say) speak of."""
        found = (detector.explain(labels) for detector in self.detectors)
        return next((explanation for explanation in found if explanation is not None), None)

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        yield Sample("fleetowl_detector_series", {}, int(self._seen.sum()))
        yield Sample("fleetowl_detector_samples_total", {}, self.stats.samples)
        yield Sample("fleetowl_detector_lost_total", {}, self._journal.lost)
        for lane in self._lanes:
            label = {"detector": lane.detector.name}
            yield Sample("fleetowl_detector_bytes", label, lane.detector.bytes)
            yield Sample("fleetowl_detector_refused_total", label, lane.companions.refused)
            yield Sample("fleetowl_detector_postponed_total", label, lane.companions.postponed)
            yield from lane.detector.samples()
        yield from self.jobs.samples()

    def _chosen(self, result: str | None, detector: str | None) -> Iterator[Lane]:
        for lane in self._lanes:
            named = detector in (None, lane.detector.name)
            if named and (result is None or result in lane.detector.results):
                yield lane

    def _stream(self, admitted: Admitted, watched: Flags) -> None:
        """One sample each of distinct series."""
        clean = self._cleaning.clean(admitted)
        self._moments.offer(clean.plain, watched)
        if len(clean.absent.ids):
            self._moments.offer(clean.absent, watched)
        for lane in self._lanes:
            if isinstance(lane.detector, StreamDetector):
                if len(clean.absent.ids):
                    lane.end(clean.absent.times, clean.absent.ids)
                results = lane.chosen(lane.detector.step(clean.judged))
                lane.store(clean.shown(results, lane.detector.results))
        self._seen[clean.judged.ids] = True
        self.stats.samples += len(clean.judged.ids)

    def _end(self, arrived: Columns, odd: Ints, watched: Flags) -> None:
        """What is stale, at these places among what is not finite, ends what was said of its series."""
        odd = odd[is_stale(arrived.values[odd])]
        if len(odd):
            times, ids = arrived.times[odd], arrived.ids[odd]
            self._moments.offer(Columns(times, ids, np.full(len(ids), np.nan)), watched)
            for lane in self._lanes:
                lane.end(times, ids)

    def _notice(self) -> None:
        """Look at the series that are new."""
        self._reserve(self._window.size)
        known, self._noticed = self._noticed, self._window.size
        if known < self._window.size:
            self._cleaning.notice(self._window, known)
            for lane in self._lanes:
                lane.notice(known)

    def _begin_anew(self, ids: Ints, now: int) -> None:
        """Forget these series, and end what was said of them at `now` (ms)."""
        if len(ids):
            for lane in self._lanes:
                lane.end(np.full(len(ids), now), ids)
            new_ids = np.arange(self._window.size)
            new_ids[ids] = -1
            self.remap(IdRemap(new_ids, self._window.size))
            self._notice()

    def _watched(self) -> Flags:
        watched = np.zeros(self._window.size, np.bool_)
        for detector in self.detectors:
            if isinstance(detector, MomentDetector):
                watched |= detector.watched(self._window.size)
        return watched

    def _reserve(self, size: int) -> None:
        self._cleaning.reserve(size)
        self._moments.reserve(size)
        self._seen = _room(self._seen, size)
        for detector in self.detectors:
            if isinstance(detector, StreamDetector):
                detector.reserve(size)


def _restored(
    detector: StreamDetector | MomentDetector, state: Mapping[str, NDArray[Any]], size: int
) -> bool:
    try:
        detector.restore(_part(_key(detector), state), size)
    except Exception:  # damaged: whatever it stumbles over
        return False
    return True


def _key(detector: StreamDetector | MomentDetector) -> str:
    """A snapshot of another version has other keys."""
    return f"{detector.name}@{detector.version}"


def _prefixed(key: str, state: State) -> State:
    return {f"{key}/{name}": array for name, array in state.items()}


def _part(key: str, state: Mapping[str, NDArray[Any]]) -> State:
    return {
        name.removeprefix(f"{key}/"): array for name, array in state.items() if name.startswith(f"{key}/")
    }


def _room(flags: Flags, size: int) -> Flags:
    if len(flags) >= size:
        return flags
    larger = np.zeros(max(size, len(flags) * 3 // 2), np.bool_)
    larger[: len(flags)] = flags
    return larger


def _pieces(samples: Admitted) -> Iterator[Ints | slice]:
    """Pieces of distinct series, in the order of time, small enough to stay in the processor's cache."""
    if distinct(samples.ids):
        for start in range(0, len(samples.ids), _PIECE):
            yield slice(start, start + _PIECE)
        return
    for turn in rounds(samples.times, samples.ids):
        for start in range(0, len(turn), _PIECE):
            yield turn[start : start + _PIECE]
