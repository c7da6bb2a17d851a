"""The compiled passes over all that arrives: what is left out, what is a restart, counters as rates.

Importing this module compiles it, or reads what was compiled before: so do it off the tick.
"""

from __future__ import annotations

import math

from numba import types

from detectors.compiled import compiled
from detectors.eligible import Kind
from detectors.rates import RESET
from detectors.restarts import GONE_FOR, JUDGED, PLAIN

FREE, CONCERNED, ODD, TELLING = 0, 1, 2, 3
"""Kinds of arrivals that `sift` tells apart."""

_NEVER, _COUNTER = int(Kind.NEVER), int(Kind.COUNTER)

_Ints, _Small, _Floats = types.int64[::1], types.int8[::1], types.float64[::1]
_Bytes, _Flags = types.uint8[::1], types.boolean[::1]


@compiled(types.UniTuple(types.int64, 4)(_Ints, _Floats, _Small, _Small, _Flags, types.int64[:, ::1]))  # type: ignore[no-untyped-call]
def sift(ids, values, kinds, roles, telling, out):  # type: ignore[no-untyped-def]
    """Places of what may reach a detector: into `out[FREE]` where demand does not matter, else `[CONCERNED]`.

    Into `out[ODD]` go the places of what is not finite, and into `out[TELLING]` those of the series that tell
    something of others. Returns how many each are.
    """
    free = concerned = odd = told = 0
    for place in range(len(ids)):
        sid = ids[place]
        if telling[sid]:
            out[TELLING, told] = place
            told += 1
        if not math.isfinite(values[place]):
            out[ODD, odd] = place
            odd += 1
        elif kinds[sid] != _NEVER:
            if roles[sid] == 0:
                out[FREE, free] = place
                free += 1
            else:
                out[CONCERNED, concerned] = place
                concerned += 1
    return free, concerned, odd, told


@compiled(types.int64(_Ints, _Ints, _Ints, _Floats, _Flags, _Floats, _Ints, _Bytes, _Ints))
def moved(times, ids, owners, steady, silent, run, last, pending, out):  # type: ignore[no-untyped-def]
    """Places of distinct series, into `out`, whose run may be another than at their sample before.

    By owner `steady` is what its signal says in all of this step, NaN if that is not one thing, and `silent`
    is whether it has no signal: then a series is of another run after `GONE_FOR` without a sample.
    """
    count = 0
    for place in range(len(ids)):
        sid = ids[place]
        owner = owners[sid]
        if owner < 0:
            continue
        if silent[owner] and math.isnan(run[sid]):
            if last[sid] > 0 and times[place] - last[sid] >= GONE_FOR:
                pending[sid] = JUDGED | PLAIN
            last[sid] = times[place]
        elif run[sid] != steady[owner]:
            out[count] = place
            count += 1
    return count


@compiled(
    types.int64(_Ints, _Ints, _Floats, _Small, _Floats, _Ints, _Bytes, _Ints, _Ints, _Floats, _Flags),
    error_model="numpy",
)
def clean(times, ids, values, kinds, value, time, pending, out_times, out_ids, out_values, restarted):  # type: ignore[no-untyped-def]
    """Distinct series that have nothing to do with demand: counters as rates, without their first samples.

    `value` and `time` are the counters' last ones by id. Into the last four go the samples, and which of them
    are the first of a new run; returns how many they are.
    """
    count = 0
    for place in range(len(ids)):
        sid, now = ids[place], values[place]
        if kinds[sid] == _COUNTER:
            before, since = value[sid], times[place] - time[sid]
            value[sid], time[sid] = now, times[place]
            if math.isnan(before):
                continue
            if now < RESET * before:
                pending[sid] = JUDGED | PLAIN
            now = (now - before if now >= before else now) * 1000.0 / max(since, 1)
        out_times[count], out_ids[count], out_values[count] = times[place], sid, now
        restarted[count] = pending[sid] != 0
        pending[sid] = 0
        count += 1
    return count
