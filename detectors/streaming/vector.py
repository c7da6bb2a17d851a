"""The recipe's step for many series at once: float32 lanes side by side, without a branch.

What recipe.step does to one series, `judge` does to one lane of a *sheet*: a flat array of rows of LANES
numbers. The state is read from a block and written to the sheet: no lane depends on another and no row is
both read and written, so the compiler makes plain vector instructions of the loop. What happens to few lanes
only (a cluster ends, an hour begins) is not done here: see kernel.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detectors.streaming import recipe
from detectors.streaming.choose import choose, exponential, halves, larger, logarithm, smaller, within

LANES = 16
"""Series side by side: two AVX2 registers; a row is one cache line."""

HOT: tuple[str, ...] = (
    *recipe.STATE[: recipe.TAILS],
    "interval",
    *(f"{each}_{field}" for each in recipe.STATISTICS for field in ("edge", "rare", "top", "form")),
)
"""What is read and written at every sample: width and shape of a tail are the halves of one number."""

F = np.float32
_COUNT, _LEVEL, _SEASONAL, _SCALE, _FAR_LEVEL, _FAR_SCALE, _PLAIN, _SEASONED, _QUANTUM, _LAST = (
    place * LANES for place in range(recipe.COUNT, recipe.LAST + 1)
)
_SLOW, _DRIFT, _RISE, _FALL, _PEAK, _SINCE, _RUN, _LONGEST = (
    place * LANES for place in range(recipe.SLOW, recipe.LONGEST + 1)
)
HOUR, SLOT, _INTERVAL = recipe.HOUR * LANES, recipe.SLOT * LANES, recipe.TAILS * LANES
TAILS = _INTERVAL + LANES
RARE, TOP, FORM, TAIL = LANES, 2 * LANES, 3 * LANES, 4 * LANES
"""Places in a tail, whose first is its edge, and how many numbers one is."""
AFTER = len(HOT) * LANES
"""How many numbers the state after the sample is, which lies first in a sheet."""
VALUE = AFTER
ELAPSED = VALUE + LANES
"""Milliseconds since the sample before."""
ENDED = ELAPSED + LANES
"""Of which statistics a cluster has ended: the sum of 2^statistic."""
SCORE = ENDED + LANES
LOW, HIGH, CHANGE = SCORE + LANES, SCORE + 2 * LANES, SCORE + 3 * LANES
SHEET = SCORE + 4 * LANES

_ZERO, _HALF, _ONE, _NAN = F(0), F(0.5), F(1), F(math.nan)
_TINY, _LEAST = F(1e-9), F(1e-30)
_NONE, _REST = F(recipe._NONE), F(recipe._REST)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _smoothed(before, value, weight, tiny):  # type: ignore[no-untyped-def]
    """0 where it would be tiny: numbers below 1e-38 slow the processor down a hundredfold."""
    after = before + weight * (value - before)
    return choose(abs(after) < tiny, _ZERO, after)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _interval(b, w, j, count):  # type: ignore[no-untyped-def]
    """Learn the interval of the series: the first as it is; a gap counts as four and says little."""
    interval, elapsed = b[_INTERVAL + j], w[ELAPSED + j]
    weight = larger(F(0.02), _ONE / larger(count, _ONE))
    learned = interval + weight * (smaller(elapsed, F(4) * interval) - interval)
    learned = choose(count > _ONE, learned, choose(count > _ZERO, elapsed, _ZERO))
    w[_INTERVAL + j] = learned
    return larger(learned, _ONE)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _nats(b, at, value):  # type: ignore[no-untyped-def]
    """How rare a value is. One division serves both sides of the edge; see recipe._nats."""
    edge, rare = b[at], b[at + RARE]
    width, shape = halves(b[at + FORM])
    over = value > edge
    ratio = choose(over, value - edge, value) / choose(over, width, edge)
    return choose(over, rare + logarithm(_ONE + shape * ratio) / shape, rare * ratio)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _reach(b, at, target):  # type: ignore[no-untyped-def]
    """The value that is as rare as the target."""
    edge, rare = b[at], b[at + RARE]
    width, shape = halves(b[at + FORM])
    height = (exponential(shape * larger(target - rare, _ZERO)) - _ONE) / shape
    return choose(target <= rare, edge * target / rare, edge + height * width)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _learn_tail(b, w, at, value, learns, step, ease):  # type: ignore[no-untyped-def]
    """Whether a cluster has ended. By `step` goes the edge, in widths; by `ease` the rate of clusters."""
    edge, rare, top, form = b[at], b[at + RARE], b[at + TOP], b[at + FORM]
    width, _ = halves(form)
    pace, over = step * larger(width, F(recipe._LEAST_WIDTH)), value > edge
    lower = larger(edge - pace * F(recipe._TAIL), F(0.1) * width)
    ends = learns & (top > _ZERO) & (value < F(recipe._HYSTERESIS) * edge)
    top = choose(learns & over, larger(top, value), choose(ends, _ZERO, top))
    w[at] = choose(learns, choose(over, edge + pace * F(1 - recipe._TAIL), lower), edge)
    w[at + RARE] = choose(learns, smaller(rare + ease, F(recipe._RAREST)), rare)
    w[at + TOP] = top
    w[at + FORM] = form
    return ends


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _learn_tails(b, w, j, size, slow, distance, drift, learns, step, ease):  # type: ignore[no-untyped-def]
    """All but that of CUSUM; returns the sum of 2^statistic of those of which a cluster has ended."""
    ended = choose(_learn_tail(b, w, TAILS + j, size, learns, step, ease), F(1), _ZERO)
    ended += choose(_learn_tail(b, w, TAILS + TAIL + j, slow, learns, step, ease), F(2), _ZERO)
    ended += choose(_learn_tail(b, w, TAILS + 2 * TAIL + j, distance, learns, step, ease), F(4), _ZERO)
    return ended + choose(_learn_tail(b, w, TAILS + 3 * TAIL + j, drift, learns, step, ease), F(8), _ZERO)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _stuck(b, j, run, count, seen):  # type: ignore[no-untyped-def]
    longest = b[_LONGEST + j]
    rarity = run * seen / larger(longest, F(recipe._LEAST_RUN))
    return choose((F(10) * run > count) | (longest > F(recipe._STILL_OFTEN)), _ZERO, rarity)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _learn_run(b, w, j, run, moved, count):  # type: ignore[no-untyped-def]
    """The longest stand and the smallest move."""
    longest, before, quantum = b[_LONGEST + j], b[_RUN + j], b[_QUANTUM + j]
    known = F(recipe._OUTLIER_RECORD) * larger(longest, F(recipe._LEAST_RUN))
    most = choose(F(10) * before > count, _NONE, known)
    w[_LONGEST + j] = choose(run == _ZERO, larger(longest, smaller(before, most)), longest)
    w[_RUN + j] = run
    closer = (moved > _ZERO) & ((quantum == _ZERO) | (moved < quantum))
    w[_QUANTUM + j] = choose(closer, moved, quantum)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _shift(b, w, j, z, slow, learns, target, step, ease):  # type: ignore[no-untyped-def]
    """Two-sided CUSUM; returns the score of the change, and whether a cluster has ended."""
    waits = b[_RISE + j] < _ZERO
    back = abs(slow) < _HALF * b[TAILS + TAIL + j]
    rise = larger(_ZERO, b[_RISE + j] + z - F(recipe._ALLOWANCE))
    fall = larger(_ZERO, b[_FALL + j] - z - F(recipe._ALLOWANCE))
    height = larger(rise, fall)
    at = TAILS + 4 * TAIL + j
    change = _nats(b, at, height) / target
    ended = choose(_learn_tail(b, w, at, height, learns & (b[_RISE + j] >= _ZERO), step, ease), F(16), _ZERO)
    rise = choose(change > _ONE, -_ONE, rise)
    held = choose(back, _ZERO, b[_RISE + j])
    w[_RISE + j] = choose(waits, held, choose(learns, rise, b[_RISE + j]))
    held = choose(back, _ZERO, b[_FALL + j])
    w[_FALL + j] = choose(waits, held, choose(learns, fall, b[_FALL + j]))
    return choose(waits, _ZERO, change), ended


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _learn_scale(b, w, at, size, least_weight, count):  # type: ignore[no-untyped-def]
    """`count` residuals were before this one; the first value of a series has none."""
    weight = larger(least_weight, _ONE / larger(count, _ONE))
    w[at] = choose(count > _ZERO, _smoothed(b[at], size, weight, _LEAST), b[at])


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _learn_level(b, w, j, count, level, residual, bound, days):  # type: ignore[no-untyped-def]
    """Level, scale and what is left without the season; `days` is the part of a day that a sample is."""
    plain, after = within(w[VALUE + j] - level, bound), count + _ONE
    w[_LEVEL + j] = level + larger(F(recipe._LEVEL_WEIGHT), _ONE / after) * plain
    _learn_scale(b, w, _SCALE + j, smaller(abs(residual), bound), F(recipe._SCALE_WEIGHT), count)
    weight, before = larger(_HALF * days, _ONE / after), b[_PLAIN + j]
    learned = _smoothed(before, abs(plain), weight, _LEAST)
    w[_PLAIN + j] = choose(count > _ZERO, learned, before)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _learn_far(b, w, j, count, far_level, applied, bound):  # type: ignore[no-untyped-def]
    """Level and scale over thousands of samples; returns the level. `applied` is the season if it is used."""
    far = w[VALUE + j] - far_level
    after = far_level + larger(F(recipe._FAR_WEIGHT), _ONE / (count + _ONE)) * within(far, bound)
    w[_FAR_LEVEL + j] = after
    _learn_scale(b, w, _FAR_SCALE + j, smaller(abs(far - applied), bound), F(recipe._FAR_WEIGHT), count)
    return after


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _learn_season(b, w, j, count, seasonal_level, far_level, bound, far_bound, days):  # type: ignore[no-untyped-def]
    """The slot of the hour, the level of the rest, and what is left with the season."""
    value, season, after = w[VALUE + j], b[SLOT + j], count + _ONE
    rest = within(value - season - seasonal_level, bound)
    weight = larger(F(recipe._LEVEL_WEIGHT), _ONE / after)
    w[_SEASONAL + j] = seasonal_level + weight * rest
    lived, before = after - _ONE / days, b[_SEASONED + j]
    weight = larger(_HALF * days, _ONE / larger(lived, _ONE))
    learned = _smoothed(before, abs(rest), weight, _LEAST)
    w[_SEASONED + j] = choose((lived > _ZERO) & (count > _ZERO), learned, before)
    weight = larger(F(24 * recipe._SEASON_WEIGHT) * days, _ONE / (_ONE + after * F(1 / 24)))
    w[SLOT + j] = season + smaller(weight, _ONE) * within(value - far_level - season, far_bound)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _gate(b, w, j, raw, hold, warm):  # type: ignore[no-untyped-def]
    """Raw score to score; see recipe._gate, whose branches are told here from the last to the first."""
    peak, since = b[_PEAK + j], b[_SINCE + j]
    high, calm = raw > _ONE, raw < F(recipe._OVER)
    known = (peak > _ZERO) & (raw < F(recipe._HEIGHT) * peak)
    after = choose(since > _ZERO, since + _ONE, choose(known, _ZERO, _ONE))
    silent = larger(smaller(since, _ZERO) - _ONE, -_REST - _ONE)
    after = choose(calm, silent, choose(high, after, _ZERO))
    height = choose(calm & (silent < -_REST), _ZERO, choose(high, larger(peak, raw), peak))
    held = high & ((after > hold) | (after <= _ZERO))
    w[_PEAK + j] = choose(warm, height, peak)
    w[_SINCE + j] = choose(warm, choose(held, _ZERO, after), since)
    w[SCORE + j] = choose(warm, choose(held, _ONE, raw), _NAN)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def _smooth(b, w, j, z, far, learns):  # type: ignore[no-untyped-def]
    """The residual over some samples, and the distance from the far level."""
    z, far = within(z, F(recipe._REACH)), within(far, F(recipe._FAR_REACH))
    slow = _smoothed(b[_SLOW + j], z, F(recipe._SLOW), _TINY)
    drift = _smoothed(b[_DRIFT + j], far, F(recipe._DRIFT), _TINY)
    w[_SLOW + j] = choose(learns, slow, b[_SLOW + j])
    w[_DRIFT + j] = choose(learns, drift, b[_DRIFT + j])
    return abs(slow), abs(drift)


@njit(forceinline=True, error_model="numpy", fastmath={"contract"})
def judge(b, w, j, budget, warm_up, hold, floor, max_score):  # type: ignore[no-untyped-def]
    """Lane `j` of the block `b` and sheet `w`: score the value by what was known, then learn from it."""
    count, value, season = b[_COUNT + j], w[VALUE + j], b[SLOT + j]
    known, warm, learns = count > _ZERO, count >= warm_up, count >= F(recipe._FEW)
    level = choose(known, b[_LEVEL + j], value)
    seasonal_level = choose(known, b[_SEASONAL + j], value)
    far_level = choose(known, b[_FAR_LEVEL + j], value)
    interval = _interval(b, w, j, count)
    days = smaller(interval * F(1 / recipe._DAY), F(1 / 24))
    rarity = larger(-logarithm(days * budget), F(math.log(100)))  # -log of it
    target = rarity + F(math.log(recipe._INDEPENDENT))

    used = (count * days > F(2)) & (b[_SEASONED + j] < F(recipe._SEASON_GAIN) * b[_PLAIN + j])
    applied = choose(used, season, _ZERO)
    centre = choose(used, seasonal_level + season, level)
    least = larger(larger(_HALF * b[_QUANTUM + j], floor * abs(centre)), _LEAST)
    own = floor * abs(value)
    known_scale = larger(larger(b[_SCALE + j], F(recipe._FAR_SHARE) * b[_FAR_SCALE + j]), least)
    known_far_scale = larger(b[_FAR_SCALE + j], least)
    scale, far_scale = larger(known_scale, own), larger(known_far_scale, own)
    residual = value - centre
    z = within(residual / scale, F(recipe._UTMOST))
    far = within((value - far_level - applied) / far_scale, F(recipe._UTMOST))
    size, distance = abs(z), abs(far)
    slow, drift = _smooth(b, w, j, z, far, learns)
    moved = choose(known, abs(value - b[_LAST + j]), _ZERO)
    run = choose(moved > F(recipe._STILL) * b[_FAR_SCALE + j], _ZERO, b[_RUN + j] + _ONE)

    step = larger(F(recipe._EDGE_STEP), F(2) / (count + _ONE))
    ease = larger(F(recipe._RATE_WEIGHT), _ONE / (count + F(30)))
    seen = logarithm(smaller(count + F(2), F(recipe._MEMORY)))
    rarest = larger(_nats(b, TAILS + j, size), _stuck(b, j, run, count, seen))
    rarest = larger(rarest, _nats(b, TAILS + TAIL + j, slow))
    rarest = larger(rarest, _nats(b, TAILS + 2 * TAIL + j, distance))
    rarest = larger(rarest, _nats(b, TAILS + 3 * TAIL + j, drift))
    half = scale * _reach(b, TAILS + j, target)
    w[LOW + j] = choose(warm, centre - half, _NAN)
    w[HIGH + j] = choose(warm, centre + half, _NAN)
    near = within(z, F(recipe._NEAR_REACH))
    change, ended = _shift(b, w, j, near, slow, learns, rarity + F(math.log(2)), step, ease)
    w[CHANGE + j] = choose(warm, smaller(change, max_score), _NAN)
    _gate(b, w, j, smaller(rarest / target, max_score), larger(hold / interval, F(2)), warm)

    w[ENDED + j] = ended + _learn_tails(b, w, j, size, slow, distance, drift, learns, step, ease)
    _learn_run(b, w, j, run, moved, count)
    clip = choose(warm, F(recipe._CLIP), F(recipe._EARLY_CLIP))
    bound = choose(learns, clip * known_scale, _NONE)
    far_bound = choose(learns, clip * known_far_scale, _NONE)
    _learn_level(b, w, j, count, level, residual, bound, days)
    far_level = _learn_far(b, w, j, count, far_level, applied, far_bound)
    _learn_season(b, w, j, count, seasonal_level, far_level, bound, far_bound, days)
    w[_COUNT + j] = count + _ONE
    w[HOUR + j] = b[HOUR + j]
    w[_LAST + j] = value
