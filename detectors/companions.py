"""Results as series of the window, beside what they are about: made at the first result, ended with it.

To make one takes Python tens of microseconds, so a step makes no more than MOST_MADE over all detectors, and
looks no more than MOST_SOUGHT up: when many are demanded at once the rest follows with later samples.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.arrays import remapped
from detectors.contract import EMPTY, Detector
from telemetry.bits import STALE_NAN, Flags, Floats, Ints, is_stale
from telemetry.window import IdRemap, LimitExceeded, Window

MOST_MADE = 2_000
MOST_SOUGHT = 6_000
MOST_REFUSED = 8
"""Tries in a step that the window refuses; it is full then, and each further one would cost an exception."""
FORGOTTEN = 60_000
"""ms without a result after which what a renumbering left without a subject ends."""
_UNKNOWN = -2  # not looked for yet
_NONE = -1
log = logging.getLogger("fleetowl.detectors")


@dataclass(slots=True)
class Effort:
    """What may still be done in this step, by all detectors together."""

    made: int = MOST_MADE
    sought: int = MOST_SOUGHT
    refused: int = MOST_REFUSED

    def begin(self) -> None:
        """A step begins."""
        self.made, self.sought, self.refused = MOST_MADE, MOST_SOUGHT, MOST_REFUSED


class Companions:
    """For each subject of one detector the ids of its result series, `[subjects, results]`."""

    def __init__(self, window: Window, detector: Detector, effort: Effort) -> None:
        self.refused = 0
        self.postponed = 0
        self._window = window
        self._detector = detector
        self._effort = effort
        self._ids: Ints = np.empty((0, len(detector.results)), np.int64)
        self._orphans: Ints = EMPTY  # of subjects that were numbered otherwise; nobody has asked for them yet
        self._said: set[str] = set()

    def renumbered(self, remap: IdRemap) -> None:
        """The window's ids are others now. What is no series is numbered anew: its results are sought again.

        Those that nobody finds again, for their entity's series moved to another target, end.
        """
        held = self._ids
        known = held >= 0
        held[known] = np.where(remap.new_ids[held[known]] >= 0, remap.new_ids[held[known]], _UNKNOWN)
        if self._detector.by_source:
            self._ids = remapped(held, remap.new_ids, remap.size, _UNKNOWN)
            return
        orphans = remap.new_ids[self._orphans]
        self._orphans = np.union1d(orphans[orphans >= 0], held[held >= 0])
        self._ids = np.empty((0, held.shape[1]), np.int64)

    def write(self, times: Ints, subjects: Ints, values: Floats) -> None:
        """Store `values` `[n, results]` at `times` (ms), one row a subject; NaN is not stored."""
        there = ~np.isnan(values)
        told = np.flatnonzero(there.any(axis=1))
        if not len(told):
            return
        times, subjects, values, there = times[told], subjects[told], values[told], there[told]
        self._seek(subjects, there, self._effort.sought)
        self._make(subjects, there)
        ids = self._ids[subjects]
        there &= self._living(ids)
        self._append(np.repeat(times, there.sum(axis=1)), ids[there], values[there])
        if len(self._orphans):
            self._end_orphans(int(times.max()))

    def end(self, times: Ints, subjects: Ints, columns: Sequence[int] | None = None) -> None:
        """The results of these subjects, or those in these columns, end at these times (ms)."""
        if not len(subjects):
            return
        ended = np.zeros((len(subjects), self._ids.shape[1]), np.bool_)
        ended[:, slice(None) if columns is None else list(columns)] = True
        self._seek(subjects, ended, ended.size)
        ids = self._ids[subjects]
        there = self._living(ids) & ended
        self._stop(np.broadcast_to(times[:, None], ids.shape)[there], ids[there])

    def _seek(self, subjects: Ints, wanted: Flags, most: int) -> None:
        """Look at most so many up of the wanted ones of which it is not known whether they are there."""
        self._ids = _rows(self._ids, int(subjects.max()) + 1)
        rows, columns = np.nonzero(wanted & (self._ids[subjects] == _UNKNOWN))
        self.postponed += max(0, len(rows) - max(0, most))
        rows, columns = rows[: max(0, most)], columns[: max(0, most)]
        for subject, column in zip(subjects[rows].tolist(), columns.tolist(), strict=True):
            result = self._detector.results[column]
            sid = self._window.find(self._detector.labels(self._window, subject, result))
            self._ids[subject, column] = _NONE if sid is None else sid
        self._effort.sought -= len(rows)

    def _make(self, subjects: Ints, there: Flags) -> None:
        """The series that these results lack, as far as this step goes."""
        ids = self._ids[subjects]
        lacking = there & (ids != _UNKNOWN) & ~self._living(ids)
        rows = np.flatnonzero(lacking.any(axis=1))
        for place, row in enumerate(rows.tolist()):
            if self._effort.made <= 0:
                self.postponed += int(lacking[rows[place:]].sum())
                return
            if self._effort.refused <= 0:
                self.refused += len(rows) - place
                return
            self._make_one(int(subjects[row]), np.flatnonzero(lacking[row]).tolist())

    def _make_one(self, subject: int, columns: Sequence[int]) -> None:
        home = self._detector.home(subject)
        if not self._window.alive(np.array([home]))[0]:
            return  # its target was dropped while the sample waited
        target = self._window.target_of(home)
        try:
            for column in columns:
                labels = self._detector.labels(self._window, subject, self._detector.results[column])
                self._ids[subject, column] = self._window.series(target, labels, "gauge")
                self._effort.made -= 1
        except LimitExceeded as error:
            self.refused += 1
            self._effort.refused -= 1
            if str(error) not in self._said:
                self._said.add(str(error))
                log.warning("not all results of the detector %s are kept: %s", self._detector.name, error)

    def _living(self, ids: Ints) -> Flags:
        living: Flags = (ids >= 0) & self._window.alive(np.maximum(ids, 0))
        return living

    def _end_orphans(self, now: int) -> None:
        orphans = self._orphans[~np.isin(self._orphans, self._ids)]
        self._orphans = orphans[self._window.alive(orphans)]
        times, values = self._window.last(self._orphans)
        silent = now - times >= FORGOTTEN
        forgotten = silent & ~is_stale(values)
        self._stop(np.full(int(forgotten.sum()), now), self._orphans[forgotten])
        self._orphans = self._orphans[~silent]

    def _stop(self, times: Ints, ids: Ints) -> None:
        self._append(np.maximum(self._window.last(ids)[0] + 1, times), ids, np.full(len(ids), STALE_NAN))

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
