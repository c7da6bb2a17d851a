"""Which series a detector of another library watches: a bounded number, those that came first."""

from __future__ import annotations

import numpy as np

from detectors.arrays import grown, remapped
from detectors.eligible import Kind, kind_of
from telemetry.bits import Flags, Ints
from telemetry.matching import expression
from telemetry.window import IdRemap, Window

_NONE = -1
_LEFT_OUT = -2


class Places:
    """A place for each watched series, below `most`; per-series state lies by place.

    A series keeps its place until it is dropped. What had no place gets one that is free when the series
    are looked at anew, after a renumbering.
    """

    def __init__(self, metrics: str, most: int) -> None:
        self.most = most
        self.ids: Ints = np.full(most, _NONE, np.int64)  # by place
        self.names: list[str] = [""] * most  # of the metric, by place
        self.prints: list[int] = [0] * most  # of the labels, by place
        self._of: Ints = np.empty(0, np.int64)  # place by id
        self._matches = expression(metrics)
        self._wanted: dict[str, bool] = {}
        self._window: Window | None = None

    @property
    def left_out(self) -> int:
        """Series that match and have no place."""
        return int((self._of == _LEFT_OUT).sum())

    @property
    def used(self) -> Ints:
        """The places that are taken."""
        return np.flatnonzero(self.ids >= 0)

    def notice(self, window: Window, known: int) -> None:
        """Look at the series from id `known` on."""
        self._window = window
        self._of = grown(self._of, window.size, _NONE)
        free = iter(np.flatnonzero(self.ids < 0).tolist())
        for sid in range(known, window.size):
            if self._of[sid] >= 0:
                self._tell(window, int(self._of[sid]), sid)
            elif self._wants(window, sid):
                place = next(free, _LEFT_OUT)
                self._of[sid] = place
                if place >= 0:
                    self.ids[place] = sid
                    self._tell(window, place, sid)

    def watched(self, size: int) -> Flags:
        """Which series below id `size` have a place."""
        watched = np.zeros(size, np.bool_)
        ids = self.ids[self.ids >= 0]
        watched[ids[ids < size]] = True
        return watched

    def find(self, ids: Ints) -> Ints:
        """The place of each series, negative where it has none."""
        found = np.full(len(ids), _NONE, np.int64)
        known = ids < len(self._of)
        found[known] = self._of[ids[known]]
        return found

    def group(self, place: int) -> str:
        """The metric."""
        return self.names[place]

    def remap(self, remap: IdRemap) -> Ints:
        """Follow a renumbering; returns the places that are free now. `notice(window, 0)` must follow."""
        self._of = remapped(self._of, remap.new_ids, remap.size, _NONE)
        self._of[self._of == _LEFT_OUT] = _NONE
        used = self.used
        self.ids[used] = remap.new_ids[self.ids[used]]
        gone: Ints = used[self.ids[used] < 0]
        return gone

    def restore(self, ids: Ints, size: int) -> None:
        """Take over which series had a place. Raises ValueError where it does not fit."""
        used = ids[ids >= 0]
        if len(ids) != self.most or len(np.unique(used)) != len(used) or (used >= size).any():
            raise ValueError("the watched series do not fit")
        self.ids = np.array(ids, np.int64)
        self._of = np.full(size, _NONE, np.int64)
        self._of[used] = np.flatnonzero(ids >= 0)
        if self._window is not None:
            self.notice(self._window, 0)

    def _wants(self, window: Window, sid: int) -> bool:
        name = window.labels(sid).name
        if name not in self._wanted:
            eligible = kind_of(name, window.type_of(name)) is not Kind.NEVER
            self._wanted[name] = eligible and self._matches.fullmatch(name) is not None
        return self._wanted[name]

    def _tell(self, window: Window, place: int, sid: int) -> None:
        labels = window.labels(sid)
        self.names[place], self.prints[place] = labels.name, labels.fingerprint
