"""The trend detector: what grows or shrinks steadily, and in how many seconds it arrives at its limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import TREND_ETA, Moment, MomentDetector, Results, State, nothing
from detectors.slots import Field, Slots
from detectors.trends.fit import lines
from detectors.trends.history import BINS, SCALES, SPANS, add, restart, seen_before
from detectors.trends.limits import limits_of
from detectors.trends.settings import TrendLimit, TrendSettings
from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from model.moment import DAY
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

_PARTS = 2  # metrics whose sum is a limit
_TWICE = 2  # a line must be straight at two closed bins in a row
_YOUNG, _OLD = 3.0, 8.0  # how far a line is drawn on, in its own rises: before and after a day of history
_NEW = 0.25  # the part of its rise by which a trend must be beyond what was seen before
_NEAR = 0.1  # unless that was nearly the limit
_EARLY = float(DAY)  # ms; time constant of the early level
_MOST = 1e30  # no quantity of a machine is larger


class TrendDetector(MomentDetector):
    """Straight lines through bounded histories on four scales of time, drawn on to a limit.

    A series is kept as means of 30 s, 3 min, 18 min and 108 min, 32 of each: 16 minutes to 2.4 days. When
    such a bin closes, a line is fitted to its scale (see `fit`): robust slope, rank correlation, and quarters
    that rise alike. The longest scale whose last two lines were straight tells

        eta = (limit - line at this moment) / slope,

    if the limit is no farther than eight rises of that line (three while there is less than a day of history)
    and if the series is where it was not in the time before the line, by a quarter of its rise: what a daily
    rhythm, a rotated log or a garbage collector gives back is a place where it has been. Where it has been at
    the limit already that proves nothing. A steep fall back begins the history anew.

    When it fails: on the first day the rise of a daily rhythm may look like a leak; after a restart a leak is
    told only once it is beyond where it was before; growth that speeds up is seen on short scales only, so
    late; what grows in fewer than four steps in a window is no trend; a metric without a limit has none.

    Source: Theil (1950), Sen (1968), Mann (1945), Kendall (1938).
    """

    name = "trend"
    version = 1
    fails = "On its first day a daily rhythm may look like a leak, and a leak that begins again is told late."
    results = (TREND_ETA,)

    def __init__(self, settings: TrendSettings | None = None) -> None:
        self.limits = limits_of((settings or TrendSettings()).limits)
        ring, open_bins = (SCALES, BINS), (SCALES,)
        self._slots = Slots(
            {
                "means": Field(np.float64, np.nan, ring),
                "tops": Field(np.float32, np.nan, ring),
                "sums": Field(np.float64, 0.0, open_bins),
                "counts": Field(np.float64, 0.0, open_bins),
                "most": Field(np.float32, -np.inf, open_bins),
                "current": Field(np.int64, 0, open_bins),
                "slope": Field(np.float64, 0.0, open_bins),  # a ms
                "end": Field(np.float64, 0.0, open_bins),  # the line at the end of the last closed bin
                "straight": Field(np.int8, 0, open_bins),  # lines in a row
                "seen": Field(np.int64, 0),
                "since": Field(np.int64, 0),
                "early": Field(np.float64, 0.0),
                "told": Field(np.bool_, False),
            },
            {"metric": Field(np.int64, -1), "parts": Field(np.int64, -1, (_PARTS,))},
        )
        self._metrics: list[str | None] = []  # by code

    def demand(self, window: Window, metric: str) -> None:
        """Follow the series of this metric from now on, if it has a limit."""
        if metric in self.limits and metric not in self._metrics:
            self._metrics.append(metric)
            self._take(window, window.search([Matcher(NAME, Op.EQUAL, metric)])[0])

    def release(self, metric: str) -> None:
        """Forget all about this metric."""
        if metric in self._metrics:
            code = self._metrics.index(metric)
            self._metrics[code] = None
            self._slots.keep(self._slots["metric"] != code)

    def notice(self, window: Window, known: int) -> None:
        """Find the limits of new series; a part of a limit may be new too."""
        wanted = {name for name in self._metrics if name}
        parts = {part for name in wanted for part in self.limits[name].total_of}
        if not wanted:
            return
        names = [window.labels(sid).name for sid in range(known, window.size)]
        self._take(
            window, np.array([known + at for at, name in enumerate(names) if name in wanted], np.int64)
        )
        if known and parts.intersection(names):
            self._take(window, self._slots.ids[self._slots["metric"] >= 0])

    def watched(self, size: int) -> Flags:
        """What it follows, and what makes limits of it."""
        wanted = np.zeros(size, np.bool_)
        followed = self._slots["metric"] >= 0
        wanted[self._slots.ids[followed]] = True
        parts = self._slots["parts"][followed]
        wanted[parts[parts >= 0]] = True
        return wanted

    def step(self, moment: Moment) -> Results:
        """Learn from the moment, then say where it leads."""
        slots = self._slots
        times = moment.times[slots.ids]
        usable = (slots["metric"] >= 0) & (np.abs(moment.values[slots.ids]) < _MOST)
        rows = np.flatnonzero(usable & (times > slots["seen"]))
        if not len(rows):
            return nothing(1)
        ids, times = slots.ids[rows], times[rows]
        values = moment.values[ids]
        limits, signs = self._limits(moment, rows)
        self._age(rows, times, values)
        self._learn(rows, times, values * signs)
        etas = np.full(len(rows), np.nan)
        for place in np.flatnonzero((slots["straight"][rows] >= _TWICE).any(axis=1)).tolist():
            limit = float(limits[place] * signs[place])
            etas[place] = self._eta(int(rows[place]), int(times[place]), limit)
        told = np.isfinite(etas)
        ended = rows[~told & slots["told"][rows]]
        slots["told"][rows] = told
        return Results(times[told], ids[told], etas[told, None], slots.ids[ended], slots["seen"][ended])

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps of what it follows."""
        return self._slots.snapshot()

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot; series of metrics that nobody demands yet wait for that."""
        self._slots.restore(state, size)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering; `notice(window, 0)` finds the parts of limits anew."""
        self._slots.keep(self._slots["metric"] >= 0)
        self._slots.remap(remap)
        self._slots["parts"][:] = -1

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return self._slots.bytes

    def labels(self, window: Window, subject: int, result: str) -> Labels:
        """Besides the usual, `trend`: leak, exhaustion or decay."""
        usual = super().labels(window, subject, result)
        limit = self.limits.get(usual["metric"])
        return usual.merged({"trend": limit.kind}) if limit else usual

    def _take(self, window: Window, ids: Ints) -> None:
        rows = self._slots.add(ids)
        for row, sid in zip(rows.tolist(), ids.tolist(), strict=True):
            labels = window.labels(sid)
            self._slots["metric"][row] = self._metrics.index(labels.name)
            for at, part in enumerate(self.limits[labels.name].total_of[:_PARTS]):
                found = window.find(labels.merged({NAME: part}))
                self._slots["parts"][row, at] = -1 if found is None else found

    def _limits(self, moment: Moment, rows: Ints) -> tuple[Floats, Floats]:
        """Limit (NaN where it is not known) and sign of what moves towards it, by row."""
        limits, signs = np.full(len(rows), np.nan), np.ones(len(rows))
        codes = self._slots["metric"][rows]
        for code in np.unique(codes).tolist():
            places = np.flatnonzero(codes == code)
            limit = self.limits[self._metrics[code] or ""]
            limits[places] = self._ends(limit, moment, rows[places])
            signs[places] = 1.0 if limit.rising else -1.0
        return limits, signs

    def _ends(self, limit: TrendLimit, moment: Moment, rows: Ints) -> Floats | float:
        if limit.limit is not None:
            return limit.limit
        if limit.multiple is not None:
            early: Floats = limit.multiple * self._slots["early"][rows]
            return early
        parts = self._slots["parts"][rows][:, : len(limit.total_of)]
        there = np.where(parts >= 0, moment.values[np.maximum(parts, 0)], np.nan)
        total: Floats = there.sum(axis=1)
        return total

    def _age(self, rows: Ints, times: Ints, values: Floats) -> None:
        """Learn since when there is a series, and what its level was then."""
        slots = self._slots
        new = slots["since"][rows] == 0
        slots["since"][rows[new]] = times[new]
        age = times - slots["since"][rows]
        passed = np.where(new, 0, times - slots["seen"][rows])
        # A plain mean over the first hour, then slower and slower until only a day counts.
        weight = np.where(new, 1.0, np.minimum(passed / np.minimum(age + 1.0, _EARLY), 1.0))
        slots["early"][rows] += weight * (values - slots["early"][rows])
        slots["seen"][rows] = times

    def _learn(self, rows: Ints, times: Ints, values: Floats) -> None:
        """Add to the histories, and fit lines anew where a bin was closed."""
        state = {name: self._slots[name] for name in ("means", "tops", "sums", "counts", "most", "current")}
        closed = add(state, rows, times, values)
        if closed[:, 0].any():
            restart(state, rows[closed[:, 0]])
        for scale, span in enumerate(SPANS):
            fitted = rows[closed[:, scale]]
            if not len(fitted):
                continue
            found = lines(self._slots["means"][fitted, scale])
            good = found.straight & (found.slope > 0)
            before = self._slots["straight"][fitted, scale]
            self._slots["straight"][fitted, scale] = np.where(good, np.minimum(before + 1, _TWICE), 0)
            self._slots["slope"][fitted, scale] = np.where(good, found.slope / span, 0.0)
            self._slots["end"][fitted, scale] = np.where(good, found.end, 0.0)

    def _eta(self, row: int, time: int, limit: float) -> float:
        """Seconds, by the longest scale that has a line; NaN where none leads there."""
        slots = self._slots
        state = {"tops": slots["tops"]}
        for scale in range(SCALES - 1, -1, -1):
            if slots["straight"][row, scale] < _TWICE:
                continue
            slope, span = float(slots["slope"][row, scale]), SPANS[scale]
            at = slots["end"][row, scale] + slope * (time - int(slots["current"][row, scale]) * span)
            points = np.flatnonzero(np.isfinite(slots["means"][row, scale]))
            if not len(points):
                continue
            rise = slope * span * (BINS - int(points[0]))
            far = _OLD if time - int(slots["since"][row]) >= DAY else _YOUNG
            highest = seen_before(state, row, scale)
            repeated = at - highest < _NEW * rise and limit - highest > _NEAR * (limit - (at - rise))
            if limit - at <= far * rise and not repeated:
                return float(max(limit - at, 0.0) / slope / 1000)
        return np.nan
