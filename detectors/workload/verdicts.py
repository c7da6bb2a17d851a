"""The compiled pass over samples that have to do with demand: what each says, and what is learned of it.

Importing this module compiles it, or reads what was compiled before: so do it off the tick.
"""

from __future__ import annotations

import math

from numba import types

from detectors.compiled import compiled
from detectors.workload.baselines import CLASSES, CLIP, ENOUGH, NEVER, RARE, WEIGHT
from detectors.workload.roles import FREE, IDLE, QUEUED, UNKNOWN, Role

_MOST = 1e100  # beyond it sums would overflow
_SETTLE = 120_000  # ms: how long heat follows the work at most
_LOADS = 1e6  # more requests are one load
_PROGRESS, _TURNOVER, _GPU = int(Role.PROGRESS), int(Role.TURNOVER), int(Role.GPU)
_GPU_WORK, _GPU_HEAT = int(Role.GPU_WORK), int(Role.GPU_HEAT)

_Ints, _Small, _Floats, _Flags = types.int64[::1], types.int8[::1], types.float64[::1], types.boolean[::1]
_Table, _Counts = types.float64[:, ::1], types.float32[:, ::1]


@compiled(types.int64(types.int64, types.float64), error_model="numpy")
def class_of(role, load):  # type: ignore[no-untyped-def]
    """The class of load: powers of two of requests, eighths of a utilisation in per cent."""
    amount = min(max(load, 0.0), _LOADS) if not math.isnan(load) else 0.0
    if role == _TURNOVER:
        return 0
    amount = amount / (100 / CLASSES) if role >= _GPU else math.log2(max(amount, 1.0))
    return min(int(amount), CLASSES - 1)


@compiled(
    types.float64(types.int64, types.float64, types.float64, types.boolean, _Ints, _Floats, _Floats),
    error_model="numpy",
)
def log_of(row, rate, seconds, asked, still, windows, stood):  # type: ignore[no-untyped-def]
    """The logarithm of what a counter counted a second; NaN for one that never moved.

    At least one count is taken to be on its way. `asked` is whether there was work all the time. Each window
    in a row with work in which nothing was counted takes off how rare that is by the counter's own history
    (rule of succession), at most `RARE`: evidence of one adds to that of the one before.
    """
    rare = min(math.log((windows[row] + 2) / (stood[row] + 1)), RARE)
    moved = still[row] > NEVER
    if rate > 0 or (not asked and moved):
        still[row] = 0
    elif moved:
        still[row] += 1
    if asked and still[row] > NEVER:
        windows[row] += 1
        if still[row] > 0:
            stood[row] += 1
    if still[row] == NEVER:
        return math.nan
    return math.log(max(rate, 0.0) + 1 / seconds) - still[row] * rare


@compiled(
    types.UniTuple(types.float64, 2)(types.int64, types.int64, types.float64, _Counts, _Table, _Table),  # type: ignore[no-untyped-call]
    error_model="numpy",
)
def rest_of(row, at, value, count, level, spread):  # type: ignore[no-untyped-def]
    """(rest, level): value less the level of this class before it, NaN where that is new; then learn.

    A rest above the level is cut at one spread: that much is noise, and what is more is no fault.
    """
    known, before, wide = count[row, at], level[row, at], spread[row, at]
    count[row, at] += 1
    if known == 0:
        level[row, at], spread[row, at] = value, 0.0
        return math.nan, before
    rest, judged = value - before, math.nan
    moved = rest
    if known >= ENOUGH:
        judged = min(rest, wide)
        bound = CLIP * max(wide, 1e-3 * abs(before))
        moved = min(max(rest, -bound), bound)
    weight = max(WEIGHT, 1.0 / (known + 1.0))
    level[row, at] = before + weight * moved
    spread[row, at] = wide + weight * (abs(moved) - wide)
    return judged, before


@compiled(types.boolean(types.int64, types.int64, types.boolean, _Ints), error_model="numpy")
def settles(sid, time, idle, settled):  # type: ignore[no-untyped-def]
    """Whether heat says something: after an idle time it does not for as long, at most two minutes."""
    since = settled[sid]
    if idle:
        if since >= 0:
            settled[sid] = -time
        return False
    if since < 0:
        since = settled[sid] = time + min(time + since, _SETTLE)
    return time >= since


@compiled(
    types.void(
        _Ints, _Ints, _Floats, _Floats, _Ints, _Floats, _Small, _Small, types.float32[::1], _Ints,
        _Ints, _Counts, _Table, _Table, _Ints, _Floats, _Floats, _Flags, _Flags, _Floats, _Floats,
    ),
    error_model="numpy",
)  # fmt: skip
def judge(  # type: ignore[no-untyped-def]
    times, ids, values, seconds, states, loads, role, state, load, settled, number, count,
    level, spread, still, windows, stood, present, admitted, judged, base,
):  # fmt: skip
    """Into the last four what samples of distinct series say; see watch.Verdict.

    `states` and `loads` are those of the demand as of the samples. By id are `role`, what there was to do at
    the sample before (`state`, `load`), `settled` and the row in the baselines (`number`).
    """
    for place in range(len(ids)):
        sid = ids[place]
        kind, before, now, row = role[sid], state[sid], states[place], number[sid]
        judged[place], base[place] = values[place], math.nan
        if kind == 0:  # demand has nothing to do with it
            present[place] = admitted[place] = True
            continue
        counted = not math.isnan(seconds[place])
        there = now != IDLE and not (counted and before == IDLE)  # no window that was idle in part
        if kind == _GPU_HEAT:
            there = settles(sid, times[place], now == IDLE, settled) and there
        amount = (loads[place] + load[sid]) / 2 if counted else loads[place]
        state[sid], load[sid] = now, loads[place]
        waited = now == QUEUED or before == QUEUED
        based = now != FREE and kind in (_PROGRESS, _TURNOVER, _GPU_WORK)
        says = there and not (based and now == UNKNOWN)
        if kind == _TURNOVER and now != FREE and not (now == QUEUED and before == QUEUED):
            says = False
        measure = min(max(values[place], -_MOST), _MOST)
        if based and counted and (kind != _TURNOVER or waited):
            measure = log_of(row, values[place], seconds[place], says, still, windows, stood)
            says = says and not math.isnan(measure)
        if says and based:
            judged[place], base[place] = rest_of(row, class_of(kind, amount), measure, count, level, spread)
            says = not math.isnan(judged[place])
        present[place], admitted[place] = there, says
