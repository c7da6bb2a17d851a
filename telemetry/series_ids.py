"""Window ids of series that a sender numbers in its own way (text decoder, frame schema).

The window drops series that fell silent and renumbers the rest; ids kept elsewhere are void then. This map
finds its series again by their labels, so nobody has to tell each sender.
"""

from __future__ import annotations

import numpy as np

from model.labels import Labels
from telemetry.bits import Ints
from telemetry.window import Target, Window

UNRESOLVED = -1
DROPPED = -2
NO_IDS: Ints = np.empty(0, np.int64)


def adopted(window: Window, target: Target, apart: bool = False) -> Ints:
    """Series that a target has in a restored window, or had under an earlier configuration.

    Without what the analyzer derived from them (`fleetowl_*`), which is not the target's to end; `apart`:
    also those that had samples of times of their own.
    """
    ids = target.ids if apart else target.together.ids
    own = [not window.labels(sid).name.startswith("fleetowl_") for sid in ids.tolist()]
    return ids[np.array(own, np.bool_)]


class SeriesIds:
    """From the sender's number (a place in `ids`) to the window's id, UNRESOLVED or DROPPED."""

    def __init__(self, window: Window) -> None:
        self.ids: Ints = NO_IDS
        self._window = window
        self._labels: list[Labels | None] = []  # None: unresolved or dropped
        self._numbering = window.numbering
        self._losses = window.registry.dropped

    def clear(self) -> None:
        """The sender has renumbered: forget all."""
        self.ids, self._labels = NO_IDS, []

    def extend(self, size: int) -> None:
        """Make room for the sender's numbers below `size`."""
        more = size - len(self._labels)
        if more > 0:
            self.ids = np.concatenate([self.ids, np.full(more, UNRESOLVED)])
            self._labels.extend([None] * more)

    def resolve(self, place: int, target: Target, labels: Labels | None, metric_type: str) -> None:
        """Get or make the series of a place; labels None: it is not wanted. Raises LimitExceeded."""
        if labels is None:
            self.ids[place] = DROPPED
            return
        self.ids[place] = self._window.series(target, labels, metric_type)
        self._labels[place] = labels

    def refresh(self, held: Ints = NO_IDS) -> tuple[bool, Ints]:
        """Follow the window, before ids are used.

        Whether any id may have changed, and `held` (ids that the caller keeps besides) as they are now.
        """
        if self._window.numbering != self._numbering:
            return True, self._find_again(held)
        if self._window.registry.dropped == self._losses:
            return False, held
        self._losses = self._window.registry.dropped
        known = np.flatnonzero(self.ids >= 0)
        void = known[~self._window.alive(self.ids[known])]
        self._forget(void)
        return bool(len(void)), held[self._window.alive(held)] if len(held) else held

    def _find_again(self, held: Ints) -> Ints:
        self._numbering, self._losses = self._window.numbering, self._window.registry.dropped
        before, lost = self.ids.copy(), []
        for place, labels in enumerate(self._labels):
            if labels is None:
                continue
            found = self._window.find(labels)
            if found is None:
                lost.append(place)
            else:
                self.ids[place] = found
        self._forget(np.array(lost, np.int64))
        now = {old: new for old, new in zip(before.tolist(), self.ids.tolist(), strict=True) if new >= 0}
        return np.array([now[old] for old in held.tolist() if old in now], np.int64)

    def _forget(self, places: Ints) -> None:
        self.ids[places] = UNRESOLVED
        for place in places.tolist():
            self._labels[place] = None
