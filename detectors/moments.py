"""Moments: a fixed grid of time on which series are compared, however the samples and the ticks fall.

A moment at T stands for `(T - interval, T]`. It is due `grace` after T, so that what T is judged by has
arrived; samples wait for that, and later ones do not disturb it. Without samples there is no moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import copied, grown, remapped, taken_over
from detectors.contract import Columns, Moment, State
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap


class Moments:
    """The newest clean value of each watched series, as of the last moment, and what waits for the next."""

    ARRAYS = ("times", "values")

    def __init__(self, interval: int, grace: int) -> None:
        """Both in ms."""
        self.interval = interval
        self.grace = grace
        self.closed = 0  # the last moment that was judged
        self.times: Ints = np.empty(0, np.int64)
        self.values: Floats = np.empty(0)
        self._waiting: list[Columns] = []

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self.times = grown(self.times, size, 0)
        self.values = grown(self.values, size, np.nan)

    def offer(self, columns: Columns, watched: Flags) -> None:
        """Samples of later moments, in the order of time of each series; only the watched ones are kept."""
        chosen = watched[columns.ids]
        if chosen.any():
            kept = Columns(columns.times[chosen], columns.ids[chosen], columns.values[chosen])
            self._waiting.append(kept)

    def due(self, now: int) -> Iterator[Moment]:
        """The moments whose grace is over at `now` (ms), in order. Each is to be used before the next."""
        limit = (now - self.grace) // self.interval * self.interval
        times, ids, values = self._all()
        if not len(times) or int(times.min()) > limit:
            return
        order = np.argsort(times, kind="stable")
        times, ids, values = times[order], ids[order], values[order]
        start = 0
        for moment in np.unique(-(-times // self.interval) * self.interval).tolist():
            if moment > limit:
                break
            end = int(np.searchsorted(times, moment, "right"))
            self.times[ids[start:end]] = times[start:end]  # of one series the last wins: the newest
            self.values[ids[start:end]] = values[start:end]
            start = end
            if moment > self.closed:  # what came after its moment was judged is known, but judged no more
                self.closed = moment
                yield Moment(moment, self.times, self.values)
        self._waiting = [Columns(times[start:], ids[start:], values[start:])] if start < len(times) else []

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        times, ids, values = self._all()
        ids = remap.new_ids[ids]
        kept = ids >= 0
        self._waiting = [Columns(times[kept], ids[kept], values[kept])] if kept.any() else []
        self.times = remapped(self.times, remap.new_ids, remap.size, 0)
        self.values = remapped(self.values, remap.new_ids, remap.size, np.nan)

    def snapshot(self, size: int) -> State:
        """All of it, as copies, of the series below id `size`."""
        times, ids, values = self._all()
        return {
            "closed": np.array([self.closed]),
            **copied(self, self.ARRAYS, size),
            "waiting_times": times,
            "waiting_ids": ids,
            "waiting_values": values,
        }

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        waiting = Columns(*(np.array(state[f"waiting_{name}"]) for name in ("times", "ids", "values")))
        closed = int(state["closed"][0])
        taken_over(self, self.ARRAYS, state, size)
        self.closed = closed
        self._waiting = [waiting] if len(waiting.ids) else []

    def _all(self) -> tuple[Ints, Ints, Floats]:
        if not self._waiting:
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        return (
            np.concatenate([columns.times for columns in self._waiting]),
            np.concatenate([columns.ids for columns in self._waiting]),
            np.concatenate([columns.values for columns in self._waiting]),
        )
