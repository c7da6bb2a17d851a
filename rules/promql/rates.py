"""Range functions over counters and differences: rate, increase, delta, irate, idelta, changes, resets.

Source of the extrapolation: prometheus/prometheus promql/functions.go, extrapolatedRate (3.x).
"""

from __future__ import annotations

import numpy as np

from rules.promql.frame import Bools, Floats
from rules.promql.ranged import Block

Result = tuple[Floats, Bools]

_THRESHOLD = 1.1
"""A series is taken to reach the edge of the range if it ends less than this many mean distances before."""


def rate(block: Block) -> Result:
    """Increase per second of a counter."""
    values, known = increase(block)
    return values / ((block.end - block.start) / 1000), known


def increase(block: Block) -> Result:
    """What a counter gained over the range, resets added, extrapolated to the edges but not below zero."""
    gained = _difference(block) + _lost_in_resets(block)
    return _extrapolate(block, gained, counter=True)


def delta(block: Block) -> Result:
    """The difference of a gauge over the range, extrapolated to the edges."""
    return _extrapolate(block, _difference(block), counter=False)


def _difference(block: Block) -> Floats:
    return block.last_values - block.first_values


def _lost_in_resets(block: Block) -> Floats:
    filled = block.filled
    fallen = filled[1:] < filled[:-1]
    if not fallen.any():
        return np.zeros(filled.shape[1])
    lost: Floats = np.where(fallen, filled[:-1], 0.0).sum(axis=0)
    return lost


def _extrapolate(block: Block, gained: Floats, counter: bool) -> Result:
    first_time, last_time = block.first_times, block.last_times
    known = (block.counts >= 2) & (last_time > first_time)
    sampled = np.where(known, last_time - first_time, 1.0)
    mean_distance = sampled / np.maximum(block.counts - 1, 1)
    to_start, to_end = first_time - block.start, block.end - last_time
    to_start = np.where(to_start >= mean_distance * _THRESHOLD, mean_distance / 2, to_start)
    to_end = np.where(to_end >= mean_distance * _THRESHOLD, mean_distance / 2, to_end)
    if counter:
        # A counter was not below zero, so it cannot have started before it would have been zero.
        first_value = block.first_values
        rising = (gained > 0) & (first_value >= 0)
        to_zero = np.divide(sampled * first_value, gained, out=np.full_like(gained, np.inf), where=rising)
        to_start = np.minimum(to_start, to_zero)
    return gained * ((sampled + to_start + to_end) / sampled), known


def irate(block: Block) -> Result:
    """Increase per second between the last two samples of a counter."""
    (previous, last, distance), known = _last_two(block)
    return np.where(last < previous, last, last - previous) / distance, known


def idelta(block: Block) -> Result:
    """The difference of the last two samples."""
    (previous, last, _), known = _last_two(block)
    return last - previous, known


def _last_two(block: Block) -> tuple[tuple[Floats, Floats, Floats], Bools]:
    columns = np.arange(block.present.shape[1])
    earlier = block.present.copy()
    earlier[block.last, columns] = False
    before = len(earlier) - 1 - earlier[::-1].argmax(axis=0)
    distance = (block.last_times - block.pick(block.times, before)) / 1000
    known = (block.counts >= 2) & (distance > 0)
    previous, last = block.pick(block.values, before), block.last_values
    return (previous, last, np.where(known, distance, 1.0)), known


def changes(block: Block) -> Result:
    """How often the value changed; NaN equals NaN here."""
    filled = block.filled
    changed = (filled[1:] != filled[:-1]) & ~(np.isnan(filled[1:]) & np.isnan(filled[:-1]))
    return changed.sum(axis=0).astype(np.float64), block.counts > 0


def resets(block: Block) -> Result:
    """How often the value fell."""
    filled = block.filled
    return (filled[1:] < filled[:-1]).sum(axis=0).astype(np.float64), block.counts > 0
