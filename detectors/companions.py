"""Results that somebody asked for, as series of the window beside their source."""

from __future__ import annotations

import logging

import numpy as np

from detectors.arrays import grown
from detectors.level import Scores
from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from telemetry.bits import STALE_NAN, Flags, Floats, Ints
from telemetry.window import LimitExceeded, Window

NAMES = ("fleetowl_anomaly_score", "fleetowl_expected_low", "fleetowl_expected_high")
_NONE = -1
log = logging.getLogger("fleetowl.detectors")


class Companions:
    """For each source of a demanded metric the ids of its results: `[ids, 3]`, made at the first score."""

    def __init__(self, window: Window, detector: str) -> None:
        self.refused = 0
        self._window = window
        self._detector = detector
        self._metrics: set[str] = set()
        self._wanted: Flags = np.empty(0, np.bool_)
        self._ids: Ints = np.empty((0, len(NAMES)), np.int64)

    @property
    def metrics(self) -> frozenset[str]:
        """What is demanded."""
        return frozenset(self._metrics)

    def demand(self, metric: str) -> None:
        """Write the results of this metric from now on; those that it has already are marked."""
        self._metrics.add(metric)
        for sid in self._sources(metric).tolist():
            self._wanted[sid] = True
            self._ids[sid] = self._existing(self._window.labels(sid))

    def release(self, metric: str, time: int) -> None:
        """Write the results of this metric no longer; those that there are end at `time` (ms) or later."""
        self._metrics.discard(metric)
        ids = self._sources(metric)
        self._wanted[ids] = False
        found = [sid for source in ids.tolist() for sid in self._existing(self._window.labels(source))]
        results = np.array(found, np.int64)
        results = results[results != _NONE]
        times = np.maximum(self._window.last(results)[0] + 1, time)
        ended = self._window.append_beside(times, results, np.full(len(results), STALE_NAN))
        self.refused += sum(ended.refused.values())

    def renumbered(self) -> None:
        """The window's ids are others now; `notice(0)` must follow."""
        self._wanted, self._ids = np.empty(0, np.bool_), np.empty((0, len(NAMES)), np.int64)

    def _sources(self, metric: str) -> Ints:
        """The series of a metric, with room for what is noted about them."""
        self._reserve()
        return self._window.search([Matcher(NAME, Op.EQUAL, metric)])[0]

    def _reserve(self) -> None:
        self._wanted = grown(self._wanted, self._window.size, False)
        self._ids = _rows(self._ids, self._window.size)

    def notice(self, known: int) -> None:
        """Look at the series from id `known` on (from 0 after a renumbering): which are demanded."""
        self._reserve()
        if not self._metrics:
            return
        for sid in range(known, self._window.size):
            source = self._window.labels(sid)
            self._wanted[sid] = wanted = source.name in self._metrics
            if wanted:
                self._ids[sid] = self._existing(source)

    def _existing(self, source: Labels) -> list[int]:
        """The ids of its results if they are there: after a restart they are."""
        ids = [self._window.find(result_labels(source, name, self._detector)) for name in NAMES]
        return [_NONE if sid is None else sid for sid in ids]

    def write(self, times: Ints, ids: Ints, scores: Scores) -> None:
        """Store the scores of those sources that are demanded; `times` and `scores` align with `ids`."""
        if not self._metrics:
            return
        chosen = np.flatnonzero(self._wanted[ids] & ~np.isnan(scores.score))
        results = self._results_of(ids[chosen])
        self._append(times[chosen], results, np.stack([column[chosen] for column in scores], axis=1))

    def end(self, times: Ints, ids: Ints) -> None:
        """The sources ended at these times: so do their results."""
        if not self._metrics or not len(ids):
            return
        chosen = np.flatnonzero(self._wanted[ids] & (self._ids[ids, 0] != _NONE))
        results = self._ids[ids[chosen]]
        self._append(times[chosen], results, np.full(results.shape, STALE_NAN))

    def _results_of(self, sources: Ints) -> Ints:
        results = self._ids[sources]
        lacking = (results == _NONE).any(axis=1) | ~self._window.alive(np.maximum(results, 0)).all(axis=1)
        for sid in sources[lacking].tolist():
            self._make(sid)
        return self._ids[sources]

    def _make(self, sid: int) -> None:
        source, target = self._window.labels(sid), self._window.target_of(sid)
        try:
            for column, name in enumerate(NAMES):
                labels = result_labels(source, name, self._detector)
                self._ids[sid, column] = self._window.series(target, labels, "gauge")
        except LimitExceeded as error:
            self.refused += 1
            log.warning("no results of %s are kept: %s", source, error)

    def _append(self, times: Ints, results: Ints, values: Floats) -> None:
        whole = (results != _NONE).all(axis=1)
        times, results, values = times[whole], results[whole], values[whole]
        if len(times):
            each = np.repeat(times, len(NAMES))
            appended = self._window.append_beside(each, results.ravel(), values.ravel())
            self.refused += sum(appended.refused.values())


def _rows(ids: Ints, size: int) -> Ints:
    if len(ids) >= size:
        return ids
    more = max(size, len(ids) * 3 // 2) - len(ids)
    return np.concatenate([ids, np.full((more, ids.shape[1]), _NONE)])


def result_labels(source: Labels, name: str, detector: str) -> Labels:
    """The labels of a result: those of its source, the result's name, `metric` and `detector`."""
    return source.merged({NAME: name, "metric": source.name, "detector": detector})
