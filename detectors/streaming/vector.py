"""The recipe's step for many series at once: float32 lanes side by side, without a branch.

What recipe.step does to one series, `judge` does to one lane of a *sheet*: a flat array of rows of LANES
numbers. The state is read from the rows before AFTER and written at the same place behind it: no lane depends
on another and no row is both read and written, so the compiler makes plain vector instructions of the loop.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detectors.streaming import recipe
from detectors.streaming.choose import choose, exponential, larger, logarithm, smaller, within

LANES = 16
"""Series side by side: two AVX2 registers; a row is one cache line."""

KEPT: tuple[str, ...] = (*recipe.STATE[: recipe.SEASON], "interval")
"""What is read and written at every sample, beside one slot of the season."""

F = np.float32
_COUNT, _LEVEL, _SEASONAL, _SCALE, _FAR_LEVEL, _FAR_SCALE, _PLAIN, _SEASONED, _QUANTUM, _LAST = (
    place * LANES for place in range(recipe.COUNT, recipe.LAST + 1)
)
_FAST, _SLOW, _DRIFT, _RISE, _FALL, _PEAK, _SINCE, _RUN, _LONGEST = (
    place * LANES for place in range(recipe.FAST, recipe.LONGEST + 1)
)
_SPIKE_TAIL, _FAST_TAIL, _SLOW_TAIL, _FAR_TAIL, _DRIFT_TAIL, _SHIFT_TAIL = (
    place * LANES for place in range(recipe.SPIKE_TAIL, recipe.SEASON, recipe._WIDTH)
)
_EXCESS, _RATE, _TOP, _RECORD = (place * LANES for place in range(1, recipe._WIDTH))
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

_ZERO, _HALF, _ONE, _NAN = F(0), F(0.5), F(1), F(math.nan)
_TINY, _LEAST = F(1e-9), F(1e-30)
_NONE, _CLIP, _REST = F(recipe._NONE), F(recipe._CLIP), F(recipe._REST)


@njit(forceinline=True, error_model="numpy")
def _smoothed(before, value, weight, tiny):  # type: ignore[no-untyped-def]
    """0 where it would be tiny: numbers below 1e-38 slow the processor down a hundredfold."""
    after = before + weight * (value - before)
    return choose(abs(after) < tiny, _ZERO, after)


@njit(forceinline=True, error_model="numpy")
def _interval(w, j, count):  # type: ignore[no-untyped-def]
    """Learn the interval of the series: the first as it is; a gap counts as four and says little."""
    interval, elapsed = w[_INTERVAL + j], w[ELAPSED + j]
    weight = larger(F(0.02), _ONE / larger(count, _ONE))
    learned = interval + weight * (smaller(elapsed, F(4) * interval) - interval)
    learned = choose(count > _ONE, learned, choose(count > _ZERO, elapsed, _ZERO))
    w[AFTER + _INTERVAL + j] = learned
    return larger(learned, _ONE)


@njit(forceinline=True, error_model="numpy")
def _tail(w, at, seen, heavy, expected):  # type: ignore[no-untyped-def]
    """Nats at the edge, shape and width of a tail; see recipe._nats. `seen` is log of the samples."""
    rare = -logarithm(larger(w[at + _RATE], F(1e-6)))
    excess, record = w[at + _EXCESS], w[at + _RECORD] / larger(seen - rare, _HALF)
    shape = F(heavy) * (record / excess - F(expected))
    return rare, smaller(shape, F(recipe._HEAVIEST)), larger(excess, F(recipe._RECORD_SHARE) * record)


@njit(forceinline=True, error_model="numpy")
def _nats(edge, value, rare, shape, width):  # type: ignore[no-untyped-def]
    """How rare a value is. One division serves both sides of the edge."""
    over, heavy = value > edge, shape >= F(0.01)
    ratio = choose(over, value - edge, rare * value) / choose(over, width, edge)
    bent = choose(heavy, shape, F(0.01))
    inverse = _ONE / (bent * (_ONE - bent))
    log = logarithm(_ONE + bent * bent * inverse * ratio) * (_ONE - bent) * inverse
    return choose(over, rare + choose(heavy, log, ratio), ratio)


@njit(forceinline=True, error_model="numpy")
def _rarity(w, at, value, seen):  # type: ignore[no-untyped-def]
    rare, shape, width = _tail(w, at, seen, recipe._HEAVY, recipe._EXPECTED)
    return _nats(w[at], value, rare, shape, width)


@njit(forceinline=True, error_model="numpy")
def _rarity_cut(w, at, value, seen):  # type: ignore[no-untyped-def]
    """The same of a statistic that is cut at a reach."""
    rare, shape, width = _tail(w, at, seen, recipe._HEAVY_CUT, recipe._EXPECTED_CUT)
    return _nats(w[at], value, rare, shape, width)


@njit(forceinline=True, error_model="numpy")
def _spike(w, j, size, seen, target):  # type: ignore[no-untyped-def]
    """Rarity of the residual, and where it would be that of the target; see recipe._reach_of."""
    edge = w[_SPIKE_TAIL + j]
    rare, shape, width = _tail(w, _SPIKE_TAIL + j, seen, recipe._HEAVY, recipe._EXPECTED)
    heavy = shape >= F(0.01)
    bent = choose(heavy, shape, F(0.01))
    height = larger(target - rare, _ZERO)
    height = choose(heavy, (exponential(bent * height) - _ONE) * (_ONE - bent) / bent, height)
    reach = choose(target <= rare, edge * target / rare, edge + height * width)
    return _nats(edge, size, rare, shape, width), reach


@njit(forceinline=True, error_model="numpy")
def _learn_tail(w, at, value, learns, count):  # type: ignore[no-untyped-def]
    edge, excess, rate, top, record = w[at], w[at + _EXCESS], w[at + _RATE], w[at + _TOP], w[at + _RECORD]
    pace = larger(F(recipe._EDGE_STEP), F(2) / (count + _ONE)) * larger(excess, F(recipe._LEAST_EXCESS))
    over = value > edge
    lower = larger(edge - pace * F(recipe._TAIL), F(0.1) * excess)
    moved = choose(over, edge + pace * F(1 - recipe._TAIL), lower)
    ends = (top > _ZERO) & (value < F(recipe._HYSTERESIS) * edge)
    height = larger(top - edge, _ZERO)
    weight = larger(F(recipe._EXCESS_WEIGHT), _ONE / (F(5) + F(recipe._TAIL) * count))
    grown = excess + weight * (smaller(height, F(recipe._OUTLIER) * excess) - excess)
    grown = choose(ends, larger(grown, F(1e-6)), excess)
    most = F(recipe._OUTLIER_RECORD) * larger(grown, record * F(1 / 3))
    higher = choose(ends, larger(record, smaller(height, most)), record)
    weight = larger(F(recipe._RATE_WEIGHT), _ONE / (count + F(30)))
    w[AFTER + at] = choose(learns, moved, edge)
    w[AFTER + at + _EXCESS] = choose(learns, grown, excess)
    often = larger(rate + weight * (choose(ends, _ONE, _ZERO) - rate), F(1e-6))
    w[AFTER + at + _RATE] = choose(learns, often, rate)
    w[AFTER + at + _TOP] = choose(learns, choose(over, larger(top, value), choose(ends, _ZERO, top)), top)
    w[AFTER + at + _RECORD] = choose(learns, higher, record)


@njit(forceinline=True, error_model="numpy")
def _stuck(w, j, run, count, seen):  # type: ignore[no-untyped-def]
    longest = w[_LONGEST + j]
    rarity = run * seen / larger(longest, F(recipe._LEAST_RUN))
    return choose((F(10) * run > count) | (longest > F(recipe._STILL_OFTEN)), _ZERO, rarity)


@njit(forceinline=True, error_model="numpy")
def _learn_run(w, j, run, moved, count):  # type: ignore[no-untyped-def]
    """The longest stand and the smallest move."""
    longest, before, quantum = w[_LONGEST + j], w[_RUN + j], w[_QUANTUM + j]
    known = F(recipe._OUTLIER_RECORD) * larger(longest, F(recipe._LEAST_RUN))
    most = choose(F(10) * before > count, _NONE, known)
    w[AFTER + _LONGEST + j] = choose(run == _ZERO, larger(longest, smaller(before, most)), longest)
    w[AFTER + _RUN + j] = run
    closer = (moved > _ZERO) & ((quantum == _ZERO) | (moved < quantum))
    w[AFTER + _QUANTUM + j] = choose(closer, moved, quantum)


@njit(forceinline=True, error_model="numpy")
def _shift(w, j, z, slow, count, seen, target):  # type: ignore[no-untyped-def]
    """Two-sided CUSUM; returns the score of the change."""
    waits = w[_RISE + j] < _ZERO
    back = abs(slow) < _HALF * w[_SLOW_TAIL + j]
    rise = larger(_ZERO, w[_RISE + j] + z - F(recipe._ALLOWANCE))
    fall = larger(_ZERO, w[_FALL + j] - z - F(recipe._ALLOWANCE))
    height = larger(rise, fall)
    change = _rarity_cut(w, _SHIFT_TAIL + j, height, seen) / target
    learns = count >= F(10)
    _learn_tail(w, _SHIFT_TAIL + j, height, learns & (w[_RISE + j] >= _ZERO), count)
    rise = choose(change > _ONE, -_ONE, rise)
    held = choose(back, _ZERO, w[_RISE + j])
    w[AFTER + _RISE + j] = choose(waits, held, choose(learns, rise, w[_RISE + j]))
    held = choose(back, _ZERO, w[_FALL + j])
    w[AFTER + _FALL + j] = choose(waits, held, choose(learns, fall, w[_FALL + j]))
    return choose(waits, _ZERO, change)


@njit(forceinline=True, error_model="numpy")
def _learn_scale(w, at, size, least_weight, count):  # type: ignore[no-untyped-def]
    """`count` residuals were before this one; the first value of a series has none."""
    weight = larger(least_weight, _ONE / larger(count, _ONE))
    w[AFTER + at] = choose(count > _ZERO, _smoothed(w[at], size, weight, _LEAST), w[at])


@njit(forceinline=True, error_model="numpy")
def _learn_level(w, j, count, level, residual, bound, days):  # type: ignore[no-untyped-def]
    """Level, scale and what is left without the season; `days` is the part of a day that a sample is."""
    plain, after = within(w[VALUE + j] - level, bound), count + _ONE
    w[AFTER + _LEVEL + j] = level + larger(F(recipe._LEVEL_WEIGHT), _ONE / after) * plain
    _learn_scale(w, _SCALE + j, smaller(abs(residual), bound), F(recipe._SCALE_WEIGHT), count)
    weight, before = larger(_HALF * days, _ONE / after), w[_PLAIN + j]
    learned = _smoothed(before, abs(plain), weight, _LEAST)
    w[AFTER + _PLAIN + j] = choose(count > _ZERO, learned, before)


@njit(forceinline=True, error_model="numpy")
def _learn_far(w, j, count, far_level, applied, bound):  # type: ignore[no-untyped-def]
    """Level and scale over thousands of samples; returns the level. `applied` is the season if it is used."""
    far = w[VALUE + j] - far_level
    after = far_level + larger(F(recipe._FAR_WEIGHT), _ONE / (count + _ONE)) * within(far, bound)
    w[AFTER + _FAR_LEVEL + j] = after
    _learn_scale(w, _FAR_SCALE + j, smaller(abs(far - applied), bound), F(recipe._FAR_WEIGHT), count)
    return after


@njit(forceinline=True, error_model="numpy")
def _learn_season(w, j, count, seasonal_level, far_level, bound, far_bound, days):  # type: ignore[no-untyped-def]
    """The slot of the hour, the level of the rest, and what is left with the season."""
    value, season, after = w[VALUE + j], w[SEASON + j], count + _ONE
    rest = within(value - season - seasonal_level, bound)
    weight = larger(F(recipe._LEVEL_WEIGHT), _ONE / after)
    w[AFTER + _SEASONAL + j] = seasonal_level + weight * rest
    lived, before = after - _ONE / days, w[_SEASONED + j]
    weight = larger(_HALF * days, _ONE / larger(lived, _ONE))
    learned = _smoothed(before, abs(rest), weight, _LEAST)
    w[AFTER + _SEASONED + j] = choose((lived > _ZERO) & (count > _ZERO), learned, before)
    weight = larger(F(24 * recipe._SEASON_WEIGHT) * days, _ONE / (_ONE + after * F(1 / 24)))
    w[AFTER + SEASON + j] = season + smaller(weight, _ONE) * within(value - far_level - season, far_bound)


@njit(forceinline=True, error_model="numpy")
def _gate(w, j, raw, hold, warm):  # type: ignore[no-untyped-def]
    """Raw score to score; see recipe._gate, whose branches are told here from the last to the first."""
    peak, since = w[_PEAK + j], w[_SINCE + j]
    high, calm = raw > _ONE, raw < F(recipe._OVER)
    known = (peak > _ZERO) & (raw < F(recipe._HEIGHT) * peak)
    after = choose(since > _ZERO, since + _ONE, choose(known, _ZERO, _ONE))
    silent = larger(smaller(since, _ZERO) - _ONE, -_REST - _ONE)
    after = choose(calm, silent, choose(high, after, _ZERO))
    height = choose(calm & (silent < -_REST), _ZERO, choose(high, larger(peak, raw), peak))
    held = high & ((after > hold) | (after <= _ZERO))
    w[AFTER + _PEAK + j] = choose(warm, height, peak)
    w[AFTER + _SINCE + j] = choose(warm, choose(held, _ZERO, after), since)
    w[SCORE + j] = choose(warm, choose(held, _ONE, raw), _NAN)


@njit(forceinline=True, error_model="numpy")
def _smooth(w, j, z, far, learns):  # type: ignore[no-untyped-def]
    """The residual over some samples, and the distance from the far level."""
    z, far = within(z, F(recipe._REACH)), within(far, F(recipe._FAR_REACH))
    fast = _smoothed(w[_FAST + j], z, F(recipe._FAST), _TINY)
    slow = _smoothed(w[_SLOW + j], z, F(recipe._SLOW), _TINY)
    drift = _smoothed(w[_DRIFT + j], far, F(recipe._DRIFT), _TINY)
    w[AFTER + _FAST + j] = choose(learns, fast, w[_FAST + j])
    w[AFTER + _SLOW + j] = choose(learns, slow, w[_SLOW + j])
    w[AFTER + _DRIFT + j] = choose(learns, drift, w[_DRIFT + j])
    return abs(fast), abs(slow), abs(drift)


@njit(forceinline=True, error_model="numpy")
def judge(w, j, budget, warm_up, hold, floor, max_score):  # type: ignore[no-untyped-def]
    """Lane `j` of the sheet `w`: score the value by what was known before it, then learn from it."""
    count, value, season = w[_COUNT + j], w[VALUE + j], w[SEASON + j]
    known, warm, learns = count > _ZERO, count >= warm_up, count >= F(10)
    level = choose(known, w[_LEVEL + j], value)
    seasonal_level = choose(known, w[_SEASONAL + j], value)
    far_level = choose(known, w[_FAR_LEVEL + j], value)
    interval = _interval(w, j, count)
    days = smaller(interval * F(1 / recipe._DAY), F(1 / 24))
    rarity = larger(-logarithm(days * budget), F(math.log(100)))  # -log of it
    target = rarity + F(math.log(recipe._INDEPENDENT))

    used = (count * days > F(2)) & (w[_SEASONED + j] < F(recipe._SEASON_GAIN) * w[_PLAIN + j])
    applied = choose(used, season, _ZERO)
    centre = choose(used, seasonal_level + season, level)
    least = larger(_HALF * w[_QUANTUM + j], floor * larger(abs(centre), abs(value)))
    least = larger(least, _LEAST)
    scale = larger(larger(w[_SCALE + j], F(recipe._FAR_SHARE) * w[_FAR_SCALE + j]), least)
    far_scale = larger(w[_FAR_SCALE + j], least)
    residual = value - centre
    z = within(residual / scale, F(recipe._UTMOST))
    far = within((value - far_level - applied) / far_scale, F(recipe._UTMOST))
    size, distance = abs(z), abs(far)
    fast, slow, drift = _smooth(w, j, z, far, learns)
    moved = choose(known, abs(value - w[_LAST + j]), _ZERO)
    run = choose(moved > F(recipe._STILL) * w[_FAR_SCALE + j], _ZERO, w[_RUN + j] + _ONE)

    seen = logarithm(smaller(count + F(2), F(recipe._MEMORY)))
    rarest, reach = _spike(w, j, size, seen, target)
    rarest = larger(rarest, _stuck(w, j, run, count, seen))
    rarest = larger(rarest, _rarity_cut(w, _FAST_TAIL + j, fast, seen))
    rarest = larger(rarest, _rarity_cut(w, _SLOW_TAIL + j, slow, seen))
    rarest = larger(rarest, _rarity(w, _FAR_TAIL + j, distance, seen))
    rarest = larger(rarest, _rarity(w, _DRIFT_TAIL + j, drift, seen))
    half = scale * reach
    w[LOW + j] = choose(warm, centre - half, _NAN)
    w[HIGH + j] = choose(warm, centre + half, _NAN)
    near = within(z, F(recipe._NEAR_REACH))
    change = _shift(w, j, near, slow, count, seen, rarity + F(math.log(2)))
    w[CHANGE + j] = choose(warm, smaller(change, max_score), _NAN)
    _gate(w, j, smaller(rarest / target, max_score), larger(hold / interval, F(2)), warm)

    _learn_tail(w, _SPIKE_TAIL + j, size, learns, count)
    _learn_tail(w, _FAST_TAIL + j, fast, learns, count)
    _learn_tail(w, _SLOW_TAIL + j, slow, learns, count)
    _learn_tail(w, _FAR_TAIL + j, distance, learns, count)
    _learn_tail(w, _DRIFT_TAIL + j, drift, learns, count)
    _learn_run(w, j, run, moved, count)
    bound, far_bound = choose(warm, _CLIP * scale, _NONE), choose(warm, _CLIP * far_scale, _NONE)
    _learn_level(w, j, count, level, residual, bound, days)
    far_level = _learn_far(w, j, count, far_level, applied, far_bound)
    _learn_season(w, j, count, seasonal_level, far_level, bound, far_bound, days)
    w[AFTER + _COUNT + j] = count + _ONE
    w[AFTER + _LAST + j] = value
