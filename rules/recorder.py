"""Results of rules as series of the window: recording rules, ALERTS and ALERTS_FOR_STATE."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from model.labels import Labels
from rules.promql.errors import EvaluationError
from telemetry.window import IdRemap, LimitExceeded, Target, Window

_NONE = np.empty(0, dtype=np.int64)


class Recorder:
    """Writes what one rule yields; a series that it no longer yields is marked stale.

    `key` and `interval` (ms) are those of the target that the series belong to. The window drops it while
    there are none, so it is asked for at each write.
    """

    def __init__(self, window: Window, key: str, interval: int) -> None:
        self._window = window
        self._key = key
        self._interval = interval
        self._labels: list[Labels] = []
        self._ids: NDArray[np.int64] = _NONE
        self._named: tuple[list[Labels], Mapping[str, str], list[Labels]] = [], {}, []

    def named(self, rows: list[Labels], added: Mapping[str, str]) -> list[Labels]:
        """The labels of `rows` with those of the rule; the same list again while the rows stay the same.

        Raises EvaluationError if two become alike.
        """
        known, before, labels = self._named
        if known != rows or before != added:
            labels = [row.merged(added) for row in rows]
            if len(set(labels)) < len(labels):
                raise EvaluationError(
                    "two results have the same labels after the labels of the rule were applied"
                )
            self._named = list(rows), dict(added), labels
        return labels

    def write(self, labels: Sequence[Labels], values: NDArray[np.float64], at: int) -> str:
        """Samples at `at` (ms). Answers with what the window refused, empty if nothing."""
        refused = ""
        if self._labels != labels:
            ids, refused = self._resolve(labels)
            self.end(at, ids)
            self._labels, self._ids = list(labels), ids
        known = self._ids >= 0
        if known.any():
            self._window.append(self._target(), at, self._ids[known], values[known])
        return refused

    def _target(self) -> Target:
        return self._window.target(self._key, self._interval)

    def _resolve(self, labels: Sequence[Labels]) -> tuple[NDArray[np.int64], str]:
        ids, refused = np.full(len(labels), -1, dtype=np.int64), ""
        for row, series in enumerate(labels):
            try:
                ids[row] = self._window.series(self._target(), series, "gauge")
            except LimitExceeded as error:
                refused = str(error)
        return ids, refused

    @property
    def ids(self) -> NDArray[np.int64]:
        """The series that were written last."""
        return self._ids[self._ids >= 0]

    def end(self, at: int, still_written: NDArray[np.int64]) -> None:
        """Nobody writes these series any more, but for some that another recorder has taken over."""
        gone = np.setdiff1d(self.ids, still_written)
        gone = gone[self._window.alive(gone)]
        if len(gone):
            self._window.mark_stale(self._target(), at, gone)

    def remap(self, remap: IdRemap) -> None:
        """The window has renumbered its series: look them up again at the next write."""
        self._ids = remap.apply(self.ids)
        self._labels = []
