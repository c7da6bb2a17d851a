"""Samples that came with an event, ahead of the frame that has their series."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from model.labels import Labels
from telemetry.bits import Ints
from telemetry.window import LimitExceeded, Target, Window
from wire.event import AheadSample


class Early:
    """The early samples of one node, and its series that no frame has shown since.

    Such a series is the node's to end, but not before a frame had the time to bring it: a reading that was
    under way when the event happened may lack it still.
    """

    def __init__(self, window: Window) -> None:
        self._window = window
        self._waiting: dict[Labels, int] = {}  # series, and when (ms, our clock) it last came with an event

    def __bool__(self) -> bool:
        """Whether there is such a series."""
        return bool(self._waiting)

    def store(
        self, target: Target, samples: Sequence[AheadSample], shown: Ints, now: int, refused: Counter[str]
    ) -> None:
        """Store the samples of an event; `shown` are the ids that the newest frames have.

        A series that is there goes on, whichever stream it is of; a new one begins in `target`. What the
        window does not take is counted in `refused`.
        """
        known = [(self._place(target, sample.labels, refused), sample) for sample in samples]
        taken = [(sid, sample) for sid, sample in known if sid is not None]
        ids = np.array([sid for sid, _ in taken], np.int64)
        times = np.array([sample.at for _, sample in taken], np.int64)
        values = np.array([sample.value for _, sample in taken], np.float64)
        refused.update(self._window.append_each(target, times, ids, values).refused)
        new = ~np.isin(ids, shown)
        self._waiting.update((sample.labels, now) for (_, sample), one in zip(taken, new, strict=True) if one)

    def _place(self, target: Target, labels: Labels, refused: Counter[str]) -> int | None:
        found = self._window.find(labels)
        if found is not None:
            return found
        try:
            return self._window.series(target, labels)
        except LimitExceeded as error:
            refused[error.reason] += 1
            return None

    @property
    def ids(self) -> Ints:
        """The series that no frame has shown yet."""
        found = (self._window.find(labels) for labels in self._waiting)
        return np.array([sid for sid in found if sid is not None], np.int64)

    def confirm(self, shown: Ints) -> None:
        """A frame has these series: from now on it is the frames that say when they end."""
        if self._waiting:
            there = set(shown.tolist())
            self._waiting = {
                labels: came
                for labels, came in self._waiting.items()
                if self._window.find(labels) not in there
            }

    def end(self, target: Target, time: int, before: int) -> None:
        """End at `time` (ms) those which last came before `before` (ms, our clock) and were never shown."""
        late = {labels for labels, came in self._waiting.items() if came < before}
        if late:
            found = [self._window.find(labels) for labels in late]
            ids = np.array([sid for sid in found if sid is not None], np.int64)
            self._window.mark_stale(target, time, ids)
            self._waiting = {labels: came for labels, came in self._waiting.items() if labels not in late}
