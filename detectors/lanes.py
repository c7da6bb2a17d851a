"""A lane: one detector, the series its results go to, and which of them somebody demands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown
from detectors.companions import Companions, Effort
from detectors.contract import Detector, MomentDetector, Results
from model.labels import NAME
from model.matcher import Matcher, Op
from telemetry.bits import Ints
from telemetry.window import IdRemap, Window

_NOTHING: NDArray[np.uint8] = np.empty(0, np.uint8)


class Lane:
    """Hands on results that are demanded, by metric and name; those of entities always, for they are few."""

    def __init__(self, window: Window, detector: Detector, effort: Effort | None = None) -> None:
        self.detector = detector
        self.companions = Companions(window, detector, effort or Effort())
        self._window = window
        self._demanded: dict[str, list[int]] = {}  # by metric, how often each of the results is
        self._places = np.arange(len(detector.results), dtype=np.uint8)
        self._wanted: NDArray[np.uint8] = np.empty(0, np.uint8)  # by series a bit for each of the results
        self._all = (1 << len(detector.results)) - 1

    def demand(self, metric: str, result: str | None = None) -> None:
        """Write the results of this metric from now on; if one is named, that one."""
        counts = self._demanded.setdefault(metric, [0] * len(self._places))
        first = not any(counts)
        for column in self._columns(result):
            counts[column] += 1
        sources = self._sources(metric)
        self._wanted[sources] = _bits(counts)
        if first and isinstance(self.detector, MomentDetector):
            self.detector.demand(self._window, metric)

    def release(self, metric: str, now: int, result: str | None = None) -> None:
        """Take one demand back; after the last, the results that there are end at `now` (ms) or later."""
        counts, columns = self._demanded[metric], self._columns(result)
        for column in columns:
            counts[column] -= 1
        sources = self._sources(metric)
        self._wanted[sources] = _bits(counts)
        ended = [column for column in columns if not counts[column]]
        if ended and self.detector.by_source:
            self.companions.end(np.full(len(sources), now), sources, ended)
        if not any(counts):
            del self._demanded[metric]
            if isinstance(self.detector, MomentDetector):
                self.detector.release(metric)

    def notice(self, known: int) -> None:
        """Look at the series from id `known` on: they are new; from 0 after a renumbering or a restart."""
        self._wanted = grown(self._wanted, self._window.size, 0)
        if self._demanded:
            bits = {metric: _bits(counts) for metric, counts in self._demanded.items()}
            for sid in range(known, self._window.size):
                self._wanted[sid] = bits.get(self._window.labels(sid).name, 0)
        self.detector.notice(self._window, known)

    def renumbered(self, remap: IdRemap) -> None:
        """The window's ids are others now; `notice(0)` must follow."""
        self._wanted = np.empty(0, np.uint8)
        self.companions.renumbered(remap)

    def write(self, results: Results) -> None:
        """Make series of what is demanded."""
        self.store(self.chosen(results))

    def store(self, chosen: Results) -> None:
        """Make series of results that were chosen."""
        if not len(chosen.subjects) and not len(chosen.ended):
            return
        self.companions.write(chosen.times, chosen.subjects, chosen.values)
        self.companions.end(chosen.ended_at, chosen.ended)

    def chosen(self, results: Results) -> Results:
        """What is demanded of results, NaN in place of the rest; what ends, ends."""
        if not self.detector.by_source:
            return results
        wanted = self._wanted[results.subjects] if self._demanded else _NOTHING
        chosen = np.flatnonzero(wanted)
        times, subjects, values = results.times, results.subjects, results.values
        if len(chosen) < len(subjects):
            wanted = wanted[chosen]
            times, subjects, values = times[chosen], subjects[chosen], values[chosen]
        if (wanted != self._all).any():
            values = np.where((wanted[:, None] >> self._places) & 1, values, np.nan)
        return replace(results, times=times, subjects=subjects, values=values)

    def end(self, times: Ints, sources: Ints) -> None:
        """These series ended at these times (ms): so do the results about them."""
        if self.detector.by_source and self._demanded:
            chosen = np.flatnonzero(self._wanted[sources])
            self.companions.end(times[chosen], sources[chosen])

    def _columns(self, result: str | None) -> list[int]:
        """Where results of this name stand; all, if it is None."""
        names = self.detector.results
        return list(range(len(names))) if result is None else [names.index(result)]

    def _sources(self, metric: str) -> Ints:
        """The series of a metric, with room for what is noted about them."""
        self._wanted = grown(self._wanted, self._window.size, 0)
        return self._window.search([Matcher(NAME, Op.EQUAL, metric)])[0]


def _bits(counts: list[int]) -> int:
    return sum(1 << column for column, count in enumerate(counts) if count)
