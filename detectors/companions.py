"""Results as series of the window, beside what they are about: made at the first result, ended with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from detectors.contract import Detector
from telemetry.bits import STALE_NAN, Flags, Floats, Ints
from telemetry.window import LimitExceeded, Window

_UNKNOWN = -2  # not looked for yet
_NONE = -1
log = logging.getLogger("fleetowl.detectors")


class Companions:
    """For each subject of one detector the ids of its result series, `[subjects, results]`."""

    def __init__(self, window: Window, detector: Detector) -> None:
        self.refused = 0
        self._window = window
        self._detector = detector
        self._ids: Ints = np.empty((0, len(detector.results)), np.int64)
        self._said: set[str] = set()

    def renumbered(self) -> None:
        """The window's ids are others now: what there is already is looked for again."""
        self._ids = np.empty((0, len(self._detector.results)), np.int64)

    def write(self, times: Ints, subjects: Ints, values: Floats) -> None:
        """Store `values` `[n, results]` at `times` (ms), one row a subject; NaN is not stored."""
        there = ~np.isnan(values)
        told = np.flatnonzero(there.any(axis=1))
        if not len(told):
            return
        times, subjects, values, there = times[told], subjects[told], values[told], there[told]
        ids = self._made(subjects, there)
        there &= ids >= 0
        self._append(np.repeat(times, there.sum(axis=1)), ids[there], values[there])

    def end(self, times: Ints, subjects: Ints) -> None:
        """The results of these subjects end at these times (ms)."""
        if not len(subjects):
            return
        ids = self._found(subjects)
        there = ids >= 0
        each = np.broadcast_to(times[:, None], ids.shape)[there]
        ids = ids[there]
        alive = self._window.alive(ids)
        each, ids = each[alive], ids[alive]
        self._append(np.maximum(self._window.last(ids)[0] + 1, each), ids, np.full(len(ids), STALE_NAN))

    def _found(self, subjects: Ints) -> Ints:
        """Their ids as far as they are there: after a restart they are."""
        if len(subjects):
            self._ids = _rows(self._ids, int(subjects.max()) + 1)
        ids = self._ids[subjects]
        for row in np.flatnonzero((ids == _UNKNOWN).any(axis=1)).tolist():
            subject = int(subjects[row])
            for column, result in enumerate(self._detector.results):
                sid = self._window.find(self._detector.labels(self._window, subject, result))
                self._ids[subject, column] = _NONE if sid is None else sid
        found: Ints = self._ids[subjects]
        return found

    def _made(self, subjects: Ints, there: Flags) -> Ints:
        ids = self._found(subjects)
        lacking = there & ((ids < 0) | ~self._window.alive(np.maximum(ids, 0)))
        for row in np.flatnonzero(lacking.any(axis=1)).tolist():
            self._make(int(subjects[row]), np.flatnonzero(lacking[row]).tolist())
        made: Ints = self._ids[subjects]
        return made

    def _make(self, subject: int, columns: Sequence[int]) -> None:
        home = self._detector.home(subject)
        if not self._window.alive(np.array([home]))[0]:
            return  # its target was dropped while the sample waited
        target = self._window.target_of(home)
        try:
            for column in columns:
                labels = self._detector.labels(self._window, subject, self._detector.results[column])
                self._ids[subject, column] = self._window.series(target, labels, "gauge")
        except LimitExceeded as error:
            self.refused += 1
            if str(error) not in self._said:
                self._said.add(str(error))
                log.warning("not all results of the detector %s are kept: %s", self._detector.name, error)

    def _append(self, times: Ints, ids: Ints, values: Floats) -> None:
        if len(ids):
            appended = self._window.append_beside(times, ids, values)
            self.refused += sum(appended.refused.values())


def _rows(ids: Ints, size: int) -> Ints:
    if len(ids) >= size:
        return ids
    larger = np.full((max(size, len(ids) * 3 // 2), ids.shape[1]), _UNKNOWN, np.int64)
    larger[: len(ids)] = ids
    return larger
