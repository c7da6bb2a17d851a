"""The recipe's step for many series at once: float32 lanes side by side, without a branch.

What recipe.step does to one series, `judge` does to one lane of a *sheet*: a flat array of rows of LANES
numbers. The rows of the state are read below AFTER and written at the same place behind it, so that no
lane depends on another and the compiler makes vector instructions of the loop over the lanes.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detectors.streaming import recipe
from detectors.streaming.choose import choose, larger, logarithm, smaller, within

LANES = 16
"""Series side by side: two AVX2 registers; a row is one cache line."""

KEPT: tuple[str, ...] = (*recipe.STATE[: recipe.SEASON], "interval")
"""What is read and written at every sample, beside one slot of the season."""

F = np.float32
_COUNT, _LEVEL, _SCALE, _QUANTUM, _LAST, _PLAIN, _SEASONED, _FAST, _SLOW, _SPREAD = (
    place * LANES
    for place in (
        *(recipe.COUNT, recipe.LEVEL, recipe.SCALE, recipe.QUANTUM, recipe.LAST),
        *(recipe.PLAIN, recipe.SEASONED, recipe.FAST, recipe.SLOW, recipe.SPREAD),
    )
)
_OF_SIZE, _OF_FAST, _OF_SLOW, _OF_SPREAD = ((recipe.TAILS + 2 * kind) * LANES for kind in range(4))
_PEAK, _CALM, _RISE, _FALL = (place * LANES for place in (recipe.PEAK, recipe.CALM, recipe.RISE, recipe.FALL))
_INTERVAL = KEPT.index("interval") * LANES
SEASON = len(KEPT) * LANES
AFTER = SEASON + LANES
"""Where the state after the sample is written, in the order of the state before it."""
VALUE = 2 * AFTER
ELAPSED = VALUE + LANES
"""Milliseconds since the sample before."""
SCORE = ELAPSED + LANES
LOW, HIGH, CHANGE = SCORE + LANES, SCORE + 2 * LANES, SCORE + 3 * LANES
SHEET = SCORE + 4 * LANES

_ZERO, _ONE, _NAN = F(0), F(1), F(math.nan)
_DAY = F(recipe._DAY)
_LOG_DAY = F(math.log(recipe._DAY))
_TINY = F(1e-9)
_NATS, _LOG_KINDS = F(recipe._TAIL_NATS), F(math.log(recipe._KINDS))
_STEP, _SHARE, _REST = F(recipe._EDGE_STEP), F(recipe._TAIL), F(1 - recipe._TAIL)
_REACH, _DRIFT, _CLIP = F(recipe._REACH), F(recipe._DRIFT), F(recipe._CLIP)
_SCALE_WEIGHT = F(recipe._SCALE_WEIGHT)
_UNBOUND = F(1e30)


@njit(forceinline=True, error_model="numpy")
def _nats(edge, excess, value):  # type: ignore[no-untyped-def]
    """How rare a statistic is, as recipe has it; one division serves both sides of the edge."""
    over = value > edge
    ratio = choose(over, value - edge, _NATS * value) / choose(over, excess, edge)
    return choose(over, ratio + _NATS, ratio)


@njit(forceinline=True, error_model="numpy")
def _learn_tail(w, at, value, learns, step, weight):  # type: ignore[no-untyped-def]
    edge, excess = w[at], w[at + LANES]
    over = value > edge
    grown = excess + weight * (smaller(value - edge, F(5) * excess) - excess)
    moved = choose(over, edge + step * _REST, larger(edge - step * _SHARE, F(0.1)))
    w[AFTER + at] = choose(learns, moved, edge)
    w[AFTER + at + LANES] = choose(learns & over, grown, excess)


@njit(forceinline=True, error_model="numpy")
def _target(w, j, count, budget):  # type: ignore[no-untyped-def]
    """Learn the interval of the series; how many nats a score of 1 is, as recipe.params_of has it.

    A gap counts as four intervals, so that it says little; the first interval is taken as it is.
    """
    interval, elapsed = w[_INTERVAL + j], w[ELAPSED + j]
    weight = larger(F(0.02), _ONE / larger(count, _ONE))
    learned = interval + weight * (smaller(elapsed, F(4) * interval) - interval)
    learned = choose(count > _ONE, learned, choose(count > _ZERO, elapsed, _ZERO))
    w[AFTER + _INTERVAL + j] = learned
    usual = smaller(larger(learned, _ONE), _DAY)
    rarity = larger(_LOG_DAY - logarithm(budget * usual), F(math.log(100)))  # -log of it
    return rarity + _LOG_KINDS


@njit(forceinline=True, error_model="numpy")
def _gate(w, j, raw, warm):  # type: ignore[no-untyped-def]
    before, peak = w[_CALM + j], w[_PEAK + j]
    calm = choose(raw < F(recipe._OVER), before + _ONE, _ZERO)
    peak = choose(calm > F(recipe._REST), _ZERO, peak)
    held = (peak > _ZERO) & (raw > _ONE) & (before > _ZERO) & (raw < F(1.2) * peak)
    after = choose(raw > _ONE, larger(peak, raw), peak)
    w[AFTER + _PEAK + j] = choose(warm, after, w[_PEAK + j])
    w[AFTER + _CALM + j] = choose(warm, calm, before)
    w[SCORE + j] = choose(warm, choose(held, _ONE, raw), _NAN)


@njit(forceinline=True, error_model="numpy")
def _smoothed(w, at, value, weight):  # type: ignore[no-untyped-def]
    """0 where it would be tiny: numbers below 1e-38 slow the processor down a hundredfold."""
    after = w[at] + weight * (value - w[at])
    return choose(abs(after) < _TINY, _ZERO, after)


@njit(forceinline=True, error_model="numpy")
def _change(w, j, z, target, learns, warm):  # type: ignore[no-untyped-def]
    """Two-sided CUSUM."""
    rise = larger(_ZERO, w[_RISE + j] + smaller(z, F(4)) - _DRIFT)
    fall = larger(_ZERO, w[_FALL + j] - larger(z, F(-4)) - _DRIFT)
    change = larger(rise, fall) / ((target - _LOG_KINDS) / (F(2) * _DRIFT) + F(4))
    goes_on = change <= _ONE
    w[AFTER + _RISE + j] = choose(learns, choose(goes_on, rise, _ZERO), w[_RISE + j])
    w[AFTER + _FALL + j] = choose(learns, choose(goes_on, fall, _ZERO), w[_FALL + j])
    w[CHANGE + j] = choose(warm, change, _NAN)


@njit(forceinline=True, error_model="numpy")
def _learn(w, j, count, level, residual, scale, warm):  # type: ignore[no-untyped-def]
    """Level, scale, season and the smallest move."""
    season, value, later = w[SEASON + j], w[VALUE + j], count > _ZERO
    bound = choose(warm, _CLIP * scale, _UNBOUND)
    w[AFTER + _COUNT + j] = count + _ONE
    level_weight = larger(F(recipe._LEVEL_WEIGHT), _ONE / (count + _ONE))
    w[AFTER + _LEVEL + j] = level + level_weight * within(residual, bound)
    weight = choose(later, larger(_SCALE_WEIGHT, _ONE / larger(count, _ONE)), _ZERO)
    w[AFTER + _SCALE + j] = _smoothed(w, _SCALE + j, smaller(abs(residual), bound), weight)
    weight = choose(later, _SCALE_WEIGHT, _ZERO)
    plain = value - level
    w[AFTER + _PLAIN + j] = _smoothed(w, _PLAIN + j, smaller(abs(plain), bound), weight)
    rest = plain - season
    w[AFTER + _SEASONED + j] = _smoothed(w, _SEASONED + j, smaller(abs(rest), bound), weight)
    w[AFTER + SEASON + j] = season + choose(later, F(0.02), _ZERO) * within(rest, bound)
    move, quantum = choose(later, abs(value - w[_LAST + j]), _ZERO), w[_QUANTUM + j]
    closer = (move > _ZERO) & ((quantum == _ZERO) | (move < quantum))
    w[AFTER + _QUANTUM + j] = choose(closer, move, quantum)
    w[AFTER + _LAST + j] = value


@njit(forceinline=True, error_model="numpy")
def judge(w, j, budget, warm_up, floor, max_score):  # type: ignore[no-untyped-def]
    """Lane `j` of the sheet `w`: score the value by what was known before it, then learn from it.

    No row is both read and written: of that the compiler would make masked stores.
    """
    count = w[_COUNT + j]
    level = choose(count > _ZERO, w[_LEVEL + j], w[VALUE + j])
    warm, learns = count >= warm_up, count >= F(10)
    target = _target(w, j, count, budget)
    explains = (w[_SEASONED + j] < F(0.9) * w[_PLAIN + j]) & (count > _ZERO)
    centre = level + choose(explains, w[SEASON + j], _ZERO)
    residual = w[VALUE + j] - centre
    least = larger(floor * abs(level), larger(F(0.5) * w[_QUANTUM + j], F(1e-9)))
    scale = larger(w[_SCALE + j], least)
    z = residual / scale
    size, reach = abs(z), within(z, _REACH)
    fast = _smoothed(w, _FAST + j, reach, F(recipe._FAST))
    slow = _smoothed(w, _SLOW + j, reach, F(recipe._SLOW))
    spread = _smoothed(w, _SPREAD + j, abs(reach), F(recipe._SHORT))
    w[AFTER + _FAST + j] = choose(learns, fast, w[_FAST + j])
    w[AFTER + _SLOW + j] = choose(learns, slow, w[_SLOW + j])
    w[AFTER + _SPREAD + j] = choose(learns, spread, w[_SPREAD + j])
    fast, slow = abs(fast), abs(slow)
    edge, excess = w[_OF_SIZE + j], w[_OF_SIZE + LANES + j]
    rarest = larger(
        larger(_nats(edge, excess, size), _nats(w[_OF_FAST + j], w[_OF_FAST + LANES + j], fast)),
        larger(
            _nats(w[_OF_SLOW + j], w[_OF_SLOW + LANES + j], slow),
            _nats(w[_OF_SPREAD + j], w[_OF_SPREAD + LANES + j], spread),
        ),
    )
    half = scale * (edge + excess * larger(target - _NATS, _ZERO))
    w[LOW + j] = choose(warm, centre - half, _NAN)
    w[HIGH + j] = choose(warm, centre + half, _NAN)
    _gate(w, j, smaller(rarest / target, max_score), warm)
    _change(w, j, z, target, learns, warm)
    step = larger(_STEP, F(2) / (count + _ONE))
    weight = larger(F(recipe._EXCESS_WEIGHT), _ONE / (F(5) + _SHARE * count))
    _learn_tail(w, _OF_SIZE + j, size, learns, step, weight)
    _learn_tail(w, _OF_FAST + j, fast, learns, step, weight)
    _learn_tail(w, _OF_SLOW + j, slow, learns, step, weight)
    _learn_tail(w, _OF_SPREAD + j, spread, learns, step, weight)
    _learn(w, j, count, level, residual, scale, warm)
