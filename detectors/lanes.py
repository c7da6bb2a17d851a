"""A lane: one detector, the series its results go to, and which of them somebody demands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from detectors.arrays import grown
from detectors.companions import Companions, Effort
from detectors.contract import EMPTY, Detector, MomentDetector, Results
from model.labels import NAME
from model.matcher import Matcher, Op
from telemetry.bits import Flags, Ints
from telemetry.window import IdRemap, Window


class Lane:
    """Hands on the results of demanded metrics; those of entities always, for they are few."""

    def __init__(self, window: Window, detector: Detector, effort: Effort | None = None) -> None:
        self.detector = detector
        self.companions = Companions(window, detector, effort or Effort())
        self.metrics: dict[str, int] = {}  # how often each is demanded
        self._window = window
        self._wanted: Flags = np.empty(0, np.bool_)

    def demand(self, metric: str) -> None:
        """Write the results of this metric from now on."""
        self.metrics[metric] = self.metrics.get(metric, 0) + 1
        if self.metrics[metric] > 1:
            return
        sources = self._sources(metric)
        self._wanted[sources] = True
        if isinstance(self.detector, MomentDetector):
            self.detector.demand(self._window, metric)

    def release(self, metric: str, now: int) -> None:
        """Take one demand back; after the last, the results that there are end at `now` (ms) or later."""
        self.metrics[metric] -= 1
        if self.metrics[metric]:
            return
        del self.metrics[metric]
        sources = self._sources(metric)
        self._wanted[sources] = False
        if self.detector.by_source:
            self.companions.end(np.full(len(sources), now), sources)
        if isinstance(self.detector, MomentDetector):
            self.detector.release(metric)

    def notice(self, known: int) -> None:
        """Look at the series from id `known` on: they are new; from 0 after a renumbering or a restart."""
        self._wanted = grown(self._wanted, self._window.size, False)
        if self.metrics:
            for sid in range(known, self._window.size):
                self._wanted[sid] = self._window.labels(sid).name in self.metrics
        self.detector.notice(self._window, known)

    def renumbered(self, remap: IdRemap) -> None:
        """The window's ids are others now; `notice(0)` must follow."""
        self._wanted = np.empty(0, np.bool_)
        self.companions.renumbered(remap)

    def write(self, results: Results) -> None:
        """Make series of what is demanded."""
        results = self.chosen(results)
        if not len(results.subjects) and not len(results.ended):
            return
        self.companions.write(results.times, results.subjects, results.values)
        self.companions.end(results.ended_at, results.ended)

    def chosen(self, results: Results) -> Results:
        """What is demanded of results; what ends, ends."""
        if not self.detector.by_source:
            return results
        chosen = np.flatnonzero(self._wanted[results.subjects]) if self.metrics else EMPTY
        if len(chosen) == len(results.subjects):
            return results
        times, subjects, values = results.times, results.subjects, results.values
        return replace(results, times=times[chosen], subjects=subjects[chosen], values=values[chosen])

    def end(self, times: Ints, sources: Ints) -> None:
        """These series ended at these times (ms): so do the results about them."""
        if self.detector.by_source and self.metrics:
            chosen = np.flatnonzero(self._wanted[sources])
            self.companions.end(times[chosen], sources[chosen])

    def _sources(self, metric: str) -> Ints:
        """The series of a metric, with room for what is noted about them."""
        self._wanted = grown(self._wanted, self._window.size, False)
        return self._window.search([Matcher(NAME, Op.EQUAL, metric)])[0]
