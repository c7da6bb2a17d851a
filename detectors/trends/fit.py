"""A line through a bounded history, if it is one: robust slope and a test of how straight it is.

Slope: the median of all slopes between two points (Theil 1950, Sen 1968), which nearly a third of arbitrary
points cannot break. A trend is taken for one if

- rank correlation is strong: Kendall's tau >= 0.6 (that is the statistic of Mann's test, 1945),
- the medians of the four quarters rise one after another, none by less than a tenth or by more than six
  tenths of the whole: so a step, a sawtooth, a curve that saturates is none,
- the line explains the points: their mean distance from it is at most an eighth of the whole rise.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from telemetry.bits import Flags, Floats

LEAST = 16  # points
_TAU = 0.6
_CORRELATION = 0.5
_QUARTER = (0.1, 0.6)
_REST = 0.125


class Lines(NamedTuple):
    """By series `[n]`: slope a bin, value at the end of the last bin, and whether it is straight."""

    slope: Floats
    end: Floats
    straight: Flags


def lines(points: Floats) -> Lines:
    """Lines through `points` [n, bins], oldest first, NaN = none; NaN too where nothing rises at all.

    >>> found = lines(np.vstack([np.arange(32.0), np.arange(32.0) > 15]))
    >>> found.slope.tolist(), found.end.tolist(), found.straight.tolist()
    ([1.0, 0.03571428571428571], [31.5, 1.0714285714285714], [True, False])
    """
    count, bins = points.shape
    slope, end = np.full(count, np.nan), np.full(count, np.nan)
    straight = np.zeros(count, np.bool_)
    rows = np.flatnonzero(_promising(points))
    if not len(rows):
        return Lines(slope, end, straight)
    chosen = points[rows]
    early, late = np.triu_indices(bins, 1)
    rises = chosen[:, late] - chosen[:, early]
    with np.errstate(invalid="ignore"):
        slopes = np.nanmedian(rises / (late - early), axis=1)
    tau = np.nansum(np.sign(rises), axis=1) / np.isfinite(rises).sum(axis=1)
    places = np.arange(bins)
    rests = chosen - slopes[:, None] * places
    start = np.nanmedian(rests, axis=1)
    length = np.array([places[line][-1] - places[line][0] for line in np.isfinite(chosen)])
    whole = np.abs(slopes) * length
    close = np.nanmean(np.abs(rests - start[:, None]), axis=1) <= _REST * whole
    slope[rows], end[rows] = slopes, start + slopes * (bins - 0.5)
    straight[rows] = (np.abs(tau) >= _TAU) & close & (whole > 0) & _steady(chosen, slopes)
    return Lines(slope, end, straight)


def _promising(points: Floats) -> Flags:
    """Whether there are enough points, and a plain correlation with time: what is costly is for few."""
    there = np.isfinite(points)
    count = np.maximum(there.sum(axis=1), 1)
    places = np.arange(points.shape[1]) * there
    values = np.where(there, points, 0.0)
    times = (places - (places.sum(axis=1) / count)[:, None]) * there
    rests = (values - (values.sum(axis=1) / count)[:, None]) * there
    both, spread = (times * rests).sum(axis=1), (times**2).sum(axis=1) * (rests**2).sum(axis=1)
    promising: Flags = (count >= LEAST) & (both > 0) & (both**2 > _CORRELATION**2 * spread)
    return promising


def _steady(points: Floats, slopes: Floats) -> Flags:
    """Whether the quarters of what is there rise one after another by about the same."""
    steady = np.zeros(len(points), np.bool_)
    for row, line in enumerate(points):
        there = line[np.isfinite(line)] * np.sign(slopes[row])
        quarters = [float(np.median(part)) for part in np.array_split(there, 4)]
        rises = np.diff(quarters)
        whole = quarters[-1] - quarters[0]
        low, high = _QUARTER
        steady[row] = whole > 0 and bool(((rises >= low * whole) & (rises <= high * whole)).all())
    return steady
