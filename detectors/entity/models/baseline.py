"""Where each feature of each entity usually is: robust location and scale, and the ring of its last rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import grown, remapped
from detectors.compiled import compiled
from telemetry.bits import Flags, Floats, Ints

RING = 10
"""Rows of an entity that the models look at: the newest and nine before it."""
_CLIP = 5.0  # an update moves location and scale as if the row were at most this many scales away
_SOFT = 10.0  # further away than this counts by its logarithm
_RELATIVE = 0.002  # the scale is at least this part of the location,
_SPAN = 0.02  # and this part of the range that was ever seen
_LEAST = 1e-9  # of any unit: bytes, shares, seconds
LATCH = 64
"""Every so many rows of an entity it is looked at whether it is calm enough to learn from."""
_FAST, _FAST_SCALE = 0.05, 0.01  # weights of the moving baseline of `change`
_FAST_CLIP = 3.0
_FAST_FLOOR = 0.02  # in scales
_NONE, _FIRST, _STAYED, _JUMPED, _MOVED, _BACK, _KNOWN = range(7)  # stages of a feature, see `_begin`


@compiled()
def top_of(sizes, most):  # type: ignore[no-untyped-def]
    """Mean of the `most` largest of `sizes` (at least 0 each)."""
    best = np.zeros(most)
    for size in sizes:
        if size > best[0]:
            at = 0
            while at + 1 < most and best[at + 1] < size:
                best[at] = best[at + 1]
                at += 1
            best[at] = size
    return best.mean()


@compiled()
def soft(z):  # type: ignore[no-untyped-def]
    """The same near 0, logarithmic beyond `_SOFT` scales: far is far, and no number is too large."""
    if z > _SOFT:
        return _SOFT * (1.0 + math.log(z / _SOFT))
    if z < -_SOFT:
        return -_SOFT * (1.0 + math.log(-z / _SOFT))
    return z


@compiled()
def _begin(value, gain, place, state):  # type: ignore[no-untyped-def]
    """Take in a value of a feature of which no scale is known yet.

    It stays at its first value until it has moved twice, to two places, or away and away again: the smaller
    move is its first scale, the middle of three values its place. So one absurd value is neither, whether it
    comes first, second or after a year in which nothing moved. What moves while nothing is learned waits.
    """
    stage, centre, power, low, high, moving, spread = state
    first, at = centre[place], stage[place]
    other = low[place] if low[place] < first else high[place]
    if at == _NONE or (at == _JUMPED and value == other):
        stage[place] = _FIRST if at == _NONE else _STAYED  # what was there once, and is left, is no place
        centre[place] = moving[place] = low[place] = high[place] = value
        return
    if at <= _STAYED:
        if value == first:
            stage[place] = _STAYED
        else:
            stage[place] = _JUMPED if at == _FIRST else _MOVED
            low[place], high[place] = min(low[place], value), max(high[place], value)
        return
    if at < _BACK and value == first:
        at = stage[place] = _BACK
    if value == first or (at < _BACK and value == other) or gain == 0.0:
        return
    middle, unit = first, min(abs(other - first), abs(value - first))
    if at < _BACK:
        middle = max(min(first, other), min(max(first, other), value))
        unit = min(unit, abs(value - other))
    held = min(max(value - middle, -unit), unit)
    stage[place] = _KNOWN
    centre[place] = moving[place] = middle
    power[place] = min(1.0, 2.0 * gain) * unit * unit  # two moves in all rows so far
    spread[place] = min(1.0, 2.0 * max(gain, _FAST_SCALE)) * unit
    low[place], high[place] = min(middle, middle + held), max(middle, middle + held)


@compiled()
def _follow(value, scale, seen, place, state):  # type: ignore[no-untyped-def]
    """Let the moving baseline follow; how far off it the value was, in its own spreads."""
    moving, spread = state
    off = value - moving[place]
    wide = max(spread[place], _FAST_FLOOR * scale)
    held = min(max(off, -_FAST_CLIP * wide), _FAST_CLIP * wide)
    moving[place] += max(_FAST, 1.0 / (seen + 1.0)) * held
    spread[place] += max(_FAST_SCALE, 1.0 / (seen + 1.0)) * (1.25 * abs(held) - spread[place])
    return abs(off) / wide


@compiled()
def advance(rows, entities, back, state, memory, out):  # type: ignore[no-untyped-def]
    """Take the rows `[m, d]` in, one after the other; NaN stays where it was.

    Those of entities that are `back` `[m]` have no past: their lags are as they are.
    `state` are the arrays of Baseline.ARRAYS, changed in place. `out`: `stack`, the rings
    `[m, RING, d]` as each row found them, `jump`, the moves against the moving baseline `[m]`, and `age`,
    rows of the entity before it `[m]`. No row moves anything by more than some scales, not even the
    first ones: at their gains a scale that began too small is right after a few rows.
    """
    count, calm, open_, stage, centre, power, low, high, moving, spread, ring = state
    stack, jump, age = out
    width = rows.shape[1]
    most = min(5, max(1, width // 3))
    sizes = np.zeros(width)
    for at in range(len(entities)):
        who = entities[at]
        seen = count[who]
        if seen % LATCH == 0:
            open_[who] = calm[who]
        gain = 1.0 / min(seen + 1.0, memory) if open_[who] else 0.0
        own = ring[who]
        for lag in range(RING - 1, 0, -1):
            own[lag] = own[lag - 1]
        for feature in range(width):
            value = rows[at, feature]
            sizes[feature] = 0.0
            if not math.isfinite(value):
                continue
            known = stage[who, feature] == _KNOWN
            if not known:
                _begin(value, gain, (who, feature), (stage, centre, power, low, high, moving, spread))
                known = stage[who, feature] == _KNOWN
            middle = centre[who, feature]
            off = value - middle
            scale = max(_RELATIVE * abs(middle), _LEAST)
            if not known:  # never moved: news, whatever its unit, no more
                own[0, feature] = soft(off / max(scale, abs(off) / _SOFT))
                sizes[feature] = abs(own[0, feature]) / _FAST_FLOOR
                continue
            span = high[who, feature] - low[who, feature]
            scale = max(scale, math.sqrt(power[who, feature]), _SPAN * span)
            own[0, feature] = soft(off / scale)
            held = min(max(off, -_CLIP * scale), _CLIP * scale)
            centre[who, feature] = middle + gain * held
            power[who, feature] += gain * (held * held - power[who, feature])
            low[who, feature] = min(low[who, feature], middle + held)
            high[who, feature] = max(high[who, feature], middle + held)
            sizes[feature] = _follow(value, scale, seen, (who, feature), (moving, spread))
        if back[at]:
            own[1:] = own[0]
        age[at] = seen
        count[who] = seen + 1
        stack[at] = own
        jump[at] = math.log(top_of(sizes, most) + 1e-3)


class Baseline:
    """By entity and feature, in rows of one interval; `memory` rows is the time constant.

    Location and scale are an exponentially weighted mean and root mean square of clipped moves (Huber). A
    feature that is missing in a row keeps its last place; one that never came lies at 0.
    """

    ARRAYS = ("count", "calm", "open", "stage", "centre", "power", "low", "high", "moving", "spread", "ring")
    _EMPTY = (0, True, True, _NONE, math.nan, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def __init__(self, width: int, memory: int) -> None:
        self.count: Ints = np.zeros(0, np.int64)
        self.calm: Flags = np.zeros(0, np.bool_)  # of the newest row; set by who judges it
        self.open: Flags = np.zeros(0, np.bool_)  # whether centre and scale learn at present
        self.stage: NDArray[np.int8] = np.empty((0, width), np.int8)
        self.centre: Floats = np.empty((0, width))
        self.power, self.low, self.high = (np.empty((0, width)) for _ in range(3))
        self.moving, self.spread = np.empty((0, width)), np.empty((0, width))
        self.ring: NDArray[np.float32] = np.empty((0, RING, width), np.float32)
        self._memory = float(memory)

    def reserve(self, size: int) -> None:
        """Make room for the entities below `size`."""
        for name, empty in zip(self.ARRAYS, self._EMPTY, strict=True):
            setattr(self, name, grown(getattr(self, name), size, empty))

    def remap(self, new: Ints, size: int) -> None:
        """Follow a renumbering: `new[old]`, -1 = gone."""
        for name, empty in zip(self.ARRAYS, self._EMPTY, strict=True):
            setattr(self, name, remapped(getattr(self, name), new, size, empty))

    def take(self, rows: Floats, entities: Ints, back: Flags) -> tuple[NDArray[np.float32], Floats, Ints]:
        """Learn from rows `[m, d]`; their normalised rings `[m, RING, d]`, moves `[m]` and ages `[m]`.

        The lags of those that are `back` `[m]` from having been away are as the row itself.
        """
        stack = np.empty((len(rows), *self.ring.shape[1:]), np.float32)
        jump, age = np.empty(len(rows)), np.empty(len(rows), np.int64)
        rows = np.ascontiguousarray(rows, np.float64)
        state = (
            self.count, self.calm, self.open, self.stage, self.centre, self.power, self.low, self.high,
            self.moving, self.spread, self.ring,
        )  # fmt: skip
        advance(rows, entities, back, state, self._memory, (stack, jump, age))
        return stack, jump, age

    def scale(self, entities: Ints) -> Floats:
        """What one unit of a normalised row is, `[m, d]`."""
        span = np.where(self.stage[entities] == _KNOWN, self.high[entities] - self.low[entities], 0.0)
        power = self.power[entities]
        least = np.fmax(_RELATIVE * np.abs(self.centre[entities]), _LEAST)
        return np.maximum(np.maximum(np.sqrt(power), _SPAN * span), least)

    def restart(self, entities: Ints) -> None:
        """These have started anew: what was learned holds no longer."""
        for name, empty in zip(self.ARRAYS, self._EMPTY, strict=True):
            getattr(self, name)[entities] = empty
