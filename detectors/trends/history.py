"""A bounded history of a series: means of equal spans of time, on four scales, as rings.

The spans lie on a grid of absolute time, so the history is the same whatever the cadence of what filled it.
"""

from __future__ import annotations

import numpy as np

from detectors.contract import State
from telemetry.bits import Flags, Floats, Ints

SPANS = (30_000, 180_000, 1_080_000, 6_480_000)
"""ms of a bin: 32 of them cover 16 min, 1.6 h, 9.6 h and 2.4 days."""
BINS = 32
SCALES = len(SPANS)
_SPANS = np.array(SPANS, np.int64)
_STEEP = 8.0  # a fall is steep that is so many times the usual step from bin to bin
_FREED = 0.4  # and gives back so much of what the history has seen


def add(state: State, rows: Ints, times: Ints, values: Floats) -> Flags:
    """Add one sample each to these rows; tells which bins were closed by that, `[n, SCALES]`.

    The state by row: `means` and `tops` [SCALES, BINS] of the closed bins, oldest first, NaN where there was
    no sample; `sums`, `counts` and `most` [SCALES] of the open bins, whose numbers are `current` (0: none).
    """
    bins = times[:, None] // _SPANS
    current = state["current"][rows]
    passed = np.where(current > 0, bins - current, 0)
    closed: Flags = passed > 0
    for scale in range(SCALES):
        places = np.flatnonzero(closed[:, scale])
        if len(places):
            _close(state, rows[places], scale, passed[places, scale])
    state["sums"][rows] += values[:, None]
    state["counts"][rows] += 1
    state["most"][rows] = np.maximum(state["most"][rows], values[:, None])
    state["current"][rows] = np.maximum(bins, current)
    return closed


def _close(state: State, rows: Ints, scale: int, passed: Ints) -> None:
    """Move these histories on by as many bins as have passed."""
    places = np.arange(BINS)[None, :] + np.minimum(passed, BINS)[:, None]
    reach = passed <= BINS
    counts = state["counts"][rows, scale]
    mean = np.where(counts > 0, state["sums"][rows, scale] / np.maximum(counts, 1), np.nan)
    for name, newest in (("means", mean), ("tops", state["most"][rows, scale])):
        ring = np.take_along_axis(state[name][rows, scale], np.minimum(places, BINS - 1), axis=1)
        ring[places >= BINS] = np.nan
        ring[reach, BINS - passed[reach]] = newest[reach]
        state[name][rows, scale] = ring
    state["sums"][rows, scale] = 0.0
    state["counts"][rows, scale] = 0.0
    state["most"][rows, scale] = -np.inf


def restart(state: State, rows: Ints) -> None:
    """After a fine bin was closed: where a value has fallen back steeply, what was before it is no trend's.

    Scales on which the fall is small against all that the history has seen keep theirs: the fall is then one
    of a garbage collector, say, in a longer leak.
    """
    fine = state["means"][rows, 0]
    before, last = fine[:, -5:-1], fine[:, -1]
    known = np.isfinite(last) & (np.isfinite(before).sum(axis=1) >= 2)
    rows, fine, before, last = rows[known], fine[known], before[known], last[known]
    if not len(rows):
        return
    fall = np.nanmedian(before, axis=1) - last
    usual = np.nanmedian(np.abs(np.diff(fine, axis=1)[:, :-1]), axis=1)
    steep = np.flatnonzero((fall > _STEEP * usual) & (fall > 0))
    for row, by in zip(rows[steep].tolist(), fall[steep].tolist(), strict=True):
        for scale in range(SCALES):
            ring = state["means"][row, scale]
            there = ring[np.isfinite(ring)]
            if len(there) and by > _FREED * (float(there.max()) - float(there.min())):
                ring[: -1 if scale == 0 else BINS] = np.nan
                if scale:
                    state["sums"][row, scale] = state["counts"][row, scale] = 0.0


def seen_before(state: State, row: int, scale: int) -> float:
    """The highest value before the window of a scale, as far as the history goes; -inf if that is nothing."""
    highest = -np.inf
    for wider in range(scale + 1, SCALES):
        inside = -(-BINS * SPANS[scale] // SPANS[wider])
        older = state["tops"][row, wider, : BINS - inside]
        highest = max(highest, float(np.max(older, initial=-np.inf, where=np.isfinite(older))))
    return highest
