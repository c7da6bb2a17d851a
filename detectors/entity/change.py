"""The other score of entities: against lately."""

from __future__ import annotations

import numpy as np

from detectors.contract import SCORE, Dependent, Moment, MomentDetector, Results
from detectors.entity.state import StateDetector
from model.labels import Labels
from telemetry.bits import Flags
from telemetry.window import Window


class ChangeDetector(Dependent, MomentDetector):
    """Says what `state` has found on its way, of the same rows: it must be asked after it, at each moment.

    It keeps nothing of its own.

    A change is unlike lately and unlike all that was normal: the end of a fault is none.

    When it fails: what is slower than the time constant `detectors.entities.recent` is no change; a fault
    that lasts is a change only at its beginning.
    """

    name = "change"
    version = 1
    fails = "What comes slowly is no change, and a fault that lasts is one only at its beginning."
    results = (SCORE,)
    by_source = False

    def __init__(self, state: StateDetector) -> None:
        self._state = state

    def notice(self, window: Window, known: int) -> None:
        """`state` looks at the series."""

    def watched(self, size: int) -> Flags:
        """None: `state` sees what there is."""
        return np.zeros(size, np.bool_)

    def step(self, moment: Moment) -> Results:
        """What `state` found at this moment."""
        return self._state.changes

    def labels(self, window: Window, subject: int, result: str) -> Labels:
        """Those of the entity."""
        return self._state.labels_as(self.name, window, subject, result)

    def home(self, subject: int) -> int:
        """A living series of the entity."""
        return self._state.home(subject)
