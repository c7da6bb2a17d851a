"""Moments: a fixed grid of time on which series are compared, however the samples and the ticks fall.

A moment at T stands for `(T - interval, T]`. It is due `grace` after T, so that what T is judged by has
arrived; samples wait for that, and later ones do not disturb it. Without samples there is no moment. However
much comes at once, after a pause or from a sender that kept it, a step judges MOST moments; the rest follows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import copied, grown, remapped, taken_over
from detectors.contract import EMPTY, Columns, Moment, State
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap

COLUMNS = ("times", "ids", "values", "restarted")
MOST = 60
"""Moments that one step judges: five minutes at the usual interval."""


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
        self._restarted: Ints = EMPTY  # ids since the last moment that was judged

    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""
        self.times = grown(self.times, size, 0)
        self.values = grown(self.values, size, np.nan)

    def offer(self, columns: Columns, watched: Flags) -> None:
        """Samples of later moments, in the order of time of each series; only the watched ones are kept."""
        chosen = np.flatnonzero(watched[columns.ids])
        if len(chosen):
            marks = columns.restarted if len(columns.restarted) else np.zeros(len(columns.ids), np.bool_)
            self._waiting.append(_at(replace(columns, restarted=marks), chosen))

    def due(self, now: int) -> Iterator[Moment]:
        """The moments whose grace is over at `now` (ms), in order. Each is to be used before the next."""
        limit = (now - self.grace) // self.interval * self.interval
        if self.closed > limit:
            self._step_back(limit)
        waiting = self._all()
        if not len(waiting.times) or int(waiting.times.min()) > limit:
            return
        if (waiting.times[1:] < waiting.times[:-1]).any():  # mostly a scrape of all came at one time
            waiting = _at(waiting, np.argsort(waiting.times, kind="stable"))
        times, ids, values, marks = waiting.times, waiting.ids, waiting.values, waiting.restarted
        moments = -(-times // self.interval) * self.interval  # ascending
        start = told = 0
        for moment in moments[np.flatnonzero(np.diff(moments, prepend=moments[0] - 1))].tolist():
            if moment > limit or told == MOST:
                break
            end = int(np.searchsorted(times, moment, "right"))
            self.times[ids[start:end]] = times[start:end]  # of one series the last wins: the newest
            self.values[ids[start:end]] = values[start:end]
            self._restarted = np.union1d(self._restarted, ids[start:end][marks[start:end]])
            start = end
            if moment > self.closed:  # what came after its moment was judged is known, but judged no more
                restarted, self._restarted = self._restarted, EMPTY
                self.closed, told = moment, told + 1
                yield Moment(moment, self.times, self.values, restarted)
        self._waiting = [_at(waiting, slice(start, None))] if start < len(times) else []

    def _step_back(self, limit: int) -> None:
        """The clock was set back: moments are judged from there on, and what came later is not known."""
        self.closed = limit - self.interval
        ahead = self.times > limit + self.interval + self.grace
        self.times[ahead], self.values[ahead] = 0, np.nan

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        waiting = self._all()
        ids = remap.new_ids[waiting.ids]
        kept = ids >= 0
        self._waiting = [_at(replace(waiting, ids=ids), np.flatnonzero(kept))] if kept.any() else []
        restarted = remap.new_ids[self._restarted]
        self._restarted = np.sort(restarted[restarted >= 0])
        self.times = remapped(self.times, remap.new_ids, remap.size, 0)
        self.values = remapped(self.values, remap.new_ids, remap.size, np.nan)

    def snapshot(self, size: int) -> State:
        """All of it, as copies, of the series below id `size`."""
        waiting = self._all()
        return {
            "closed": np.array([self.closed]),
            **copied(self, self.ARRAYS, size),
            "restarted": self._restarted.copy(),
            **{f"waiting_{name}": getattr(waiting, name) for name in COLUMNS},
        }

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        waiting = Columns(*(np.array(state[f"waiting_{name}"]) for name in COLUMNS))
        restarted, closed = np.array(state["restarted"], np.int64), int(state["closed"][0])
        if len({len(getattr(waiting, name)) for name in COLUMNS}) > 1:
            raise ValueError("what waits is not of one length")
        for ids in (waiting.ids, restarted):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < size:
                raise ValueError("what waits is of no series")
        taken_over(self, self.ARRAYS, state, size)
        self.closed, self._restarted = closed, restarted
        self._waiting = [waiting] if len(waiting.ids) else []

    def _all(self) -> Columns:
        """What waits."""
        if not self._waiting:
            return Columns(EMPTY, EMPTY, np.empty(0), np.empty(0, np.bool_))
        return Columns(
            np.concatenate([columns.times for columns in self._waiting]),
            np.concatenate([columns.ids for columns in self._waiting]),
            np.concatenate([columns.values for columns in self._waiting]),
            np.concatenate([columns.restarted for columns in self._waiting]),
        )


def _at(columns: Columns, places: Ints | slice) -> Columns:
    return Columns(
        columns.times[places], columns.ids[places], columns.values[places], columns.restarted[places]
    )
