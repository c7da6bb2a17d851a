"""The comparison itself, compiled: all groups of a moment in two passes, one by group and one by member.

Importing this module compiles it, or reads what was compiled before: so do it off the tick.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types, void

from detectors.compiled import compiled
from detectors.streaming.choose import choose, larger, smaller, within

MEMORY = (
    "level",
    "offset",
    "spread",
    "slow",
    "slow_spread",
    "unrest",
    "usual_unrest",
    "ring_0",
    "ring_1",
    "ring_2",
    "ring_3",
    "ring_4",
)
"""Of each member: the usual level of its group, its usual deviation and how much that varies, a slow mean of
what is unusual and how much that varies, and the last five verdicts."""
LEVEL, OFFSET, SPREAD, SLOW, SLOW_SPREAD, UNREST, USUAL_UNREST, RING = range(8)
# What the pass by group asks of the pass by member.
RESIDUAL, FAR, SCATTER, SLOW_SCATTER, DRIFT, LEARN, WIDER = range(7)
ASKED = 7
# What both are told: floor, threshold, large, time constants (ms), warm-up, freshness (ms).
FLOOR, THRESHOLD, LARGE, OFFSET_TIME, SPREAD_TIME, WARM_UP, FRESH = range(7)

_LEAST = 3  # members
_IDLE = 0.5  # deviations are parts of the median, or of this part of its usual level if that is more
_NORMAL = 1.4826  # MAD of a normal distribution -> standard deviation
_FAR = 6.0  # so many cross-sectional deviations apart is far apart
_PAUSE = 300_000  # ms; after it the last verdicts are forgotten
_LONG = 600_000  # ms; a longer gap teaches no more than this
_TINY = 1e-12
_ENOUGH = 1_000_000_000
_ZERO, _ONE = np.float32(0), np.float32(1)
_REACH = np.float32(10)  # a deviation counts as at most so many times the level
_LEAST_OFFSET = np.float32(-0.9)
_CLIP = np.float32(3)  # it is learned as if it were at most this many spreads
_MEAN_TO_SIGMA = np.float32(1.2533)  # mean absolute deviation -> standard deviation
_ILL = np.float32(0.02)  # while anomalous, learning is that much slower
_SLOW = np.float32(1 / 12)  # weight of a sample in the slow mean, which sees what noise hides
_STEADY = np.float32(1.375)  # it must be that much rarer, for nothing else confirms it;
_STEADY_FLOOR = np.float32(0.4)  # but of noise, and so of the floor, it keeps less (0.2 if that is white)
_SETTLED = np.float32(5)  # so many warm-ups before the slow mean counts: its samples are not independent
_YOUNG = np.float32(10)  # a spread learned from n samples is taken to be 1 + 10 / n times as wide
_MOST = np.float32(100)
_WIDEST = 4.0  # how much wider a restless group may be apart

float32, float64, int32, int64 = types.float32, types.float64, types.int32, types.int64
_Floats = float64[::1]
_Singles = float32[::1]
_Ints = int64[::1]
_Table = float32[:, ::1]
_Memory = types.UniTuple(_Singles, len(MEMORY))  # type: ignore[no-untyped-call]


@compiled(float64(_Floats, int64), error_model="numpy")
def median(values, count):  # type: ignore[no-untyped-def]
    """Of the first `count` values, whose order is lost; `values` has room for eight."""
    if count > 8:
        values[:count].sort()
        return 0.5 * (values[(count - 1) // 2] + values[count // 2])
    for place in range(count, 8):
        values[place] = math.inf
    a, b, c, d = values[0], values[1], values[2], values[3]
    e, f, g, h = values[4], values[5], values[6], values[7]
    # Batcher's odd-even merge sort of eight: no branches, so no wrong guesses at them.
    a, b, c, d = min(a, b), max(a, b), min(c, d), max(c, d)
    e, f, g, h = min(e, f), max(e, f), min(g, h), max(g, h)
    a, c, b, d = min(a, c), max(a, c), min(b, d), max(b, d)
    e, g, f, h = min(e, g), max(e, g), min(f, h), max(f, h)
    b, c, f, g = min(b, c), max(b, c), min(f, g), max(f, g)
    a, e, b, f = min(a, e), max(a, e), min(b, f), max(b, f)
    c, g, d, h = min(c, g), max(c, g), min(d, h), max(d, h)
    c, e, d, f = min(c, e), max(c, e), min(d, f), max(d, f)
    b, c, d, e = min(b, c), max(b, c), min(d, e), max(d, e)
    values[1], values[2], values[3], values[4] = b, c, d, e  # of at most eight, f to h are no middle
    return 0.5 * (values[(count - 1) // 2] + values[count // 2])


@compiled(float64(_Singles, _Ints, int64, float64, _Floats), error_model="numpy")
def _mad(values, there, count, middle, work):  # type: ignore[no-untyped-def]
    """As a standard deviation."""
    for place in range(count):
        work[place] = abs(values[there[place]] - middle)
    return _NORMAL * median(work, count)


@compiled(float64(_Singles, _Ints, int64, float64, float64), error_model="numpy")
def _level(levels, there, count, middle, weight):  # type: ignore[no-untyped-def]
    """What deviations of this group are parts of: the median, or a part of its usual level."""
    usual = 0.0
    for place in range(count):
        usual = max(usual, levels[there[place]])
    usual = usual + weight * (abs(middle) - usual) if usual > 0.0 else abs(middle)
    for place in range(count):
        levels[there[place]] = usual
    return max(max(abs(middle), _IDLE * usual), _TINY)


@compiled(float64(_Singles, _Singles, _Ints, int64, float64, float64), error_model="numpy")
def _unrest(unrests, usuals, there, count, now, weight):  # type: ignore[no-untyped-def]
    """How much wider apart than they usually are the members of this group have been lately, at least 1."""
    unrest = usual = 0.0
    for place in range(count):  # a new member knows of none
        unrest = max(unrest, unrests[there[place]])
        usual = max(usual, usuals[there[place]])
    unrest += max(_SLOW, weight) * (now - unrest)
    usual += weight * (now - usual)
    for place in range(count):
        unrests[there[place]] = unrest
        usuals[there[place]] = usual
    return min(max(unrest / max(usual, _TINY), 1.0), _WIDEST)


@compiled(float64(_Singles, _Ints, int64), error_model="numpy")
def _typical(values, there, count):  # type: ignore[no-untyped-def]
    """The mean without the largest, which may be of somebody ill."""
    total = largest = 0.0
    for place in range(count):
        total += values[there[place]]
        largest = max(largest, values[there[place]])
    return (total - largest) / (count - 1)


@compiled(int64(_Ints, _Ints, _Ints, _Floats, float64, _Ints, _Ints, _Floats, _Singles))
def _gathered(rows, ids, times, values, after, there, seen, off, told):  # type: ignore[no-untyped-def]
    """How many members have a value newer than `after`: their rows in `there`, the values in `off`.

    0 if they are fewer than three, which is told as -inf, or if nothing of it is new.
    """
    count = 0
    news = False
    for row in rows:
        sid = ids[row]
        if times[sid] > after and abs(values[sid]) < math.inf:
            there[count] = row
            off[count] = values[sid]
            count += 1
            news = news or times[sid] > seen[row]
        else:
            told[row] = -math.inf
    if count < _LEAST:
        for place in range(count):
            told[there[place]] = -math.inf
    return count if news and count >= _LEAST else 0


@compiled(
    void(int64, _Ints, _Floats, _Floats, float64, float64, *[_Singles] * 11, _Floats),
    error_model="numpy",
)
def _compare(  # type: ignore[no-untyped-def]
    count,
    there,
    off,
    work,
    weight,
    learn,
    levels,
    offsets,
    slows,
    spreads,
    unrests,
    usuals,
    residuals,
    fars,
    scatters,
    slow_scatters,
    widers,
    params,
):
    """One group: what there is to learn about each member. Plain arrays: tuples of them are slow."""
    for place in range(count):
        work[place] = off[place] / (1.0 + offsets[there[place]])
    middle = median(work, count)
    level = _level(levels, there, count, middle, weight)
    widest = widest_slow = farthest = total = 0.0
    for place in range(count):
        row = there[place]
        off[place] = min(max((off[place] - middle) / level, -_REACH), _REACH)
        residuals[row] = off[place] - offsets[row]
        farthest = max(farthest, abs(off[place]))
        widest = max(widest, abs(residuals[row]))
        total += abs(residuals[row])
        widest_slow = max(widest_slow, abs(slows[row]))
    wider = _unrest(unrests, usuals, there, count, (total - widest) / (count - 1), learn)
    # What matters only to what is far apart is asked for only then.
    reach = params[THRESHOLD] * params[FLOOR]
    scatter = _mad(residuals, there, count, 0.0, work) if widest > reach else 0.0
    slow_scatter = _mad(slows, there, count, 0.0, work) if widest_slow > reach else 0.0
    far, centre = math.inf, 0.0
    if farthest > 0.5 * params[LARGE]:
        for place in range(count):
            work[place] = offsets[there[place]]
        centre = median(work, count)
        for place in range(count):
            work[place] = abs(off[place] - centre)
        far = max(params[LARGE], _FAR * _NORMAL * median(work, count))
        far = max(far, params[THRESHOLD] * wider * _typical(spreads, there, count))
    for place in range(count):
        row = there[place]
        fars[row] = (off[place] - centre) / far
        scatters[row] = scatter
        slow_scatters[row] = slow_scatter
        widers[row] = wider


@compiled(
    void(
        _Ints,
        _Ints,
        _Ints,
        _Ints,
        _Floats,
        int64,
        _Floats,
        _Memory,
        _Ints,
        int32[::1],
        types.boolean[::1],
        _Table,
        _Singles,
    ),
    error_model="numpy",
)
def compare(starts, rows, ids, times, values, at, params, memory, seen, counts, new, asked, told):  # type: ignore[no-untyped-def]
    """The pass by group, over a moment's `times` and `values` by id.

    Group g has the members `rows[starts[g]:starts[g + 1]]`, of the series `ids[row]`, of which a sample
    of the time `seen[row]` was the last that was judged. Sets `new` where there is one since, and `asked`;
    `told` is set to -inf where there are too few peers.
    """
    most = 8
    for group in range(len(starts) - 1):
        most = max(most, starts[group + 1] - starts[group])
    there, off, work = np.empty(most, np.int64), np.empty(most), np.empty(most)
    levels, offsets, slows = memory[LEVEL], memory[OFFSET], memory[SLOW]
    residuals, fars = asked[RESIDUAL], asked[FAR]
    scatters, slow_scatters = asked[SCATTER], asked[SLOW_SCATTER]
    drifts, learns = asked[DRIFT], asked[LEARN]
    passed, drift, learn = 0, 0.0, 0.0
    for group in range(len(starts) - 1):
        members = rows[starts[group] : starts[group + 1]]
        count = _gathered(members, ids, times, values, at - params[FRESH], there, seen, off, told)
        if count == 0:
            continue
        samples = 0
        for place in range(count):
            row = there[place]
            samples = max(samples, counts[row])
            since = times[ids[row]] - seen[row]
            new[row] = since > 0
            if since <= 0:
                continue
            if since > _PAUSE:
                memory[SLOW][row] = 0.0
                for field in memory[RING:]:
                    field[row] = 0.0
            seen[row] += since
            since = min(since, _LONG)
            if since != passed:  # mostly all have the same
                passed = since
                drift = 1.0 - math.exp(-since / params[OFFSET_TIME])
                learn = 1.0 - math.exp(-since / params[SPREAD_TIME])
            drifts[row], learns[row] = drift, learn
        _compare(
            count,
            there,
            off,
            work,
            drift,
            max(learn, 1.0 / (1.0 + samples)),
            levels,
            offsets,
            slows,
            memory[SPREAD],
            memory[UNREST],
            memory[USUAL_UNREST],
            residuals,
            fars,
            scatters,
            slow_scatters,
            asked[WIDER],
            params,
        )


@compiled(void(_Table, _Memory, int32[::1], types.boolean[::1], _Singles, _Floats), error_model="numpy")
def judge(asked, memory, counts, new, told, params):  # type: ignore[no-untyped-def]
    """The pass by member: judge by what was known of it, then learn. `told` is the deviation where `new`.

    One loop without a branch, in single precision, so that it becomes vector instructions.
    """
    residuals, fars = asked[RESIDUAL], asked[FAR]
    scatters, slow_scatters = asked[SCATTER], asked[SLOW_SCATTER]
    drifts, learns = asked[DRIFT], asked[LEARN]
    _, offsets, spreads, slows, slow_spreads, _, _, ring_0, ring_1, ring_2, ring_3, ring_4 = memory
    threshold, floor = np.float32(params[THRESHOLD]), np.float32(params[FLOOR])
    warm_up = np.float32(params[WARM_UP])
    for row in range(len(counts)):
        residual, far, samples = residuals[row], fars[row], np.float32(counts[row])
        warm = choose(samples >= warm_up, _ONE, _ZERO)
        settled = choose(samples >= _SETTLED * warm_up, _ONE, _ZERO)
        young = _ONE / (samples + _ONE)
        unsure = (_ONE + _YOUNG * young) * asked[WIDER][row]
        spread = larger(floor, larger(scatters[row], spreads[row] * unsure))
        slow_spread = larger(_STEADY_FLOOR * floor, larger(slow_scatters[row], slow_spreads[row] * unsure))
        reach = threshold * spread
        bound = larger(_CLIP * spread, _REACH * (_ONE - warm))
        slow = slows[row] + _SLOW * (within(residual, reach) - slows[row])
        fast = warm * residual / reach
        value = within(choose(abs(fast) >= abs(far), fast, far), _MOST)
        ring_a, ring_b, ring_c, ring_d = ring_1[row], ring_2[row], ring_3[row], ring_4[row]
        low = larger(smaller(value, ring_a), smaller(ring_b, ring_c))
        high = smaller(larger(value, ring_a), larger(ring_b, ring_c))
        middle = larger(smaller(low, high), smaller(larger(low, high), ring_d))  # of the five
        steady = settled * slow / (_STEADY * threshold * slow_spread)
        result = choose(abs(middle) >= abs(steady), middle, steady)
        ease = choose(abs(result) > _ONE, _ILL, _ONE)
        offset = offsets[row] + ease * larger(drifts[row], young) * within(residual, bound)
        weight = ease * larger(learns[row], young)
        size = _MEAN_TO_SIGMA * smaller(abs(residual), bound)
        slow_size = _MEAN_TO_SIGMA * smaller(abs(slow), bound)
        fresh = new[row]
        told[row] = choose(fresh, result, told[row])
        offsets[row] = choose(fresh, larger(offset, _LEAST_OFFSET), offsets[row])
        spreads[row] += choose(fresh, weight * (size - spreads[row]), _ZERO)
        slow_spreads[row] += choose(fresh, weight * (slow_size - slow_spreads[row]), _ZERO)
        slows[row] = choose(fresh, slow, slows[row])
        ring_0[row] = choose(fresh, ring_a, ring_0[row])
        ring_1[row] = choose(fresh, ring_b, ring_a)
        ring_2[row] = choose(fresh, ring_c, ring_b)
        ring_3[row] = choose(fresh, ring_d, ring_c)
        ring_4[row] = choose(fresh, value, ring_d)
        counts[row] += choose(fresh and counts[row] < _ENOUGH, np.int32(1), np.int32(0))
