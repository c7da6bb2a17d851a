"""The compiled pass over samples: gathers what belongs together, judges it, and puts the state back.

The state lies in *blocks* of LANES series: row by row, each row one number of each series, first what KEPT
names, then the time of the last sample (as bits of an unsigned 32-bit number of ms) and the 24 slots of the
season. Of a block every sample touches KEPT, the time and one slot. Samples of one block that follow one
another are judged in one go; a lane without a sample is computed and thrown away.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.streaming import choose, recipe, vector
from detectors.streaming.choose import larger, smaller
from detectors.streaming.vector import (
    AFTER,
    ELAPSED,
    KEPT,
    LANES,
    SCORE,
    SEASON,
    SHEET,
    VALUE,
    judge,
)

log = logging.getLogger("fleetowl.detectors")

_HOUR = 3_600_000  # ms
_SHIFT = LANES.bit_length() - 1
_LANE = LANES - 1
_TIME = len(KEPT) * LANES
_SLOTS = _TIME + LANES
BLOCK = _SLOTS + 24 * LANES
"""Numbers of a block."""
_LARGEST = 1e30  # float32 ends at 3e38; a few sums and products must still fit


@njit(error_model="numpy")
def _take_run(times, ids, values, sheet, clock):  # type: ignore[no-untyped-def]
    """Take LANES samples if they are a whole block in its order, of one hour; whether they are."""
    first, hour = ids[0], times[0] // _HOUR * _HOUR
    odd = first & _LANE
    for lane in range(LANES):
        odd |= (ids[lane] - first) ^ lane
    for lane in range(LANES):
        odd |= np.int64((times[lane] < hour) | (times[lane] - hour >= _HOUR))
    if odd != 0:
        return False
    for lane in range(LANES):
        sheet[VALUE + lane] = smaller(larger(values[lane], -_LARGEST), _LARGEST)
    for lane in range(LANES):
        clock[lane] = np.uint32(times[lane])
    return True


@njit(error_model="numpy")
def _take_some(times, ids, values, start, sheet, clock, lanes):  # type: ignore[no-untyped-def]
    """Take what follows from place `start` on in one block and hour; returns how many samples that is."""
    block, hour = ids[start] >> _SHIFT, times[start] // _HOUR * _HOUR
    held = 0
    while held < LANES and start + held < len(ids):
        place = start + held
        time = times[place]
        if ids[place] >> _SHIFT != block or time < hour or time - hour >= _HOUR:
            break
        lane = ids[place] & _LANE
        lanes[held] = lane
        clock[lane] = np.uint32(time)
        sheet[VALUE + lane] = min(max(values[place], -_LARGEST), _LARGEST)
        held += 1
    return held


@njit(error_model="numpy")
def _judge_block(block, bits, slot, sheet, clock, params):  # type: ignore[no-untyped-def]
    for place in range(SEASON):
        sheet[place] = block[place]
    for lane in range(LANES):
        sheet[SEASON + lane] = block[slot + lane]
    for lane in range(LANES):
        sheet[ELAPSED + lane] = np.float32(np.int32(clock[lane] - bits[_TIME + lane]))
    budget, warm_up, hold, floor, max_score = params[0], params[1], params[2], params[3], params[4]
    for lane in range(len(clock)):  # a number that the compiler does not know: else it unrolls, scalar
        judge(sheet, lane, budget, warm_up, hold, floor, max_score)


@njit(error_model="numpy")
def _store_all(block, bits, slot, sheet, clock, out):  # type: ignore[no-untyped-def]
    for place in range(SEASON):
        block[place] = sheet[AFTER + place]
    for lane in range(LANES):
        block[slot + lane] = sheet[AFTER + SEASON + lane]
    for lane in range(LANES):
        bits[_TIME + lane] = clock[lane]
    for column in range(4):
        for lane in range(LANES):
            out[column, lane] = sheet[SCORE + column * LANES + lane]


@njit(error_model="numpy")
def _store_one(block, bits, slot, sheet, clock, lane, place, out):  # type: ignore[no-untyped-def]
    for row in range(0, SEASON, LANES):
        block[row + lane] = sheet[AFTER + row + lane]
    block[slot + lane] = sheet[AFTER + SEASON + lane]
    bits[_TIME + lane] = clock[lane]
    for column in range(4):
        out[column, place] = sheet[SCORE + column * LANES + lane]


@njit(error_model="numpy")
def _score(times, ids, values, blocks, all_bits, params, out):  # type: ignore[no-untyped-def]
    sheet = np.zeros(SHEET, np.float32)
    clock = np.zeros(LANES, np.uint32)
    lanes = np.zeros(LANES, np.int64)
    start, end = 0, len(ids)
    while start < end:
        block, bits = blocks[ids[start] >> _SHIFT], all_bits[ids[start] >> _SHIFT]
        slot = _SLOTS + times[start] // _HOUR % 24 * LANES
        stop = start + LANES
        if stop <= end and _take_run(times[start:stop], ids[start:stop], values[start:stop], sheet, clock):
            _judge_block(block, bits, slot, sheet, clock, params)
            _store_all(block, bits, slot, sheet, clock, out[:, start:stop])
            start = stop
            continue
        held = _take_some(times, ids, values, start, sheet, clock, lanes)
        _judge_block(block, bits, slot, sheet, clock, params)
        for taken in range(held):
            _store_one(block, bits, slot, sheet, clock, lanes[taken], start + taken, out)
        start += held


def fresh(count: int) -> NDArray[np.float32]:
    """Blocks of series that have had no sample."""
    start = np.zeros(len(recipe.STATE), np.float32)
    recipe._start(start, 0.0)
    block = np.zeros(BLOCK, np.float32)
    block[: recipe.SEASON * LANES] = np.repeat(start[: recipe.SEASON], LANES)
    return np.tile(block, (count, 1))


def _stamp() -> int:
    """Of the sources that are compiled: the cache looks at this file only, so others must count too."""
    files = (__file__, choose.__file__, recipe.__file__, vector.__file__)
    return zlib.crc32(b"".join(Path(file).read_bytes() for file in files))


@cache
def compiled() -> Callable[..., None]:
    """`score(times, ids, values, blocks, bits, params, out)`, from the cache if it is there.

    Times (ms), ids, values `[n]` of distinct series; of the state `blocks` `[series / LANES, BLOCK]` and its
    bits as unsigned integers; `params` the settings in the order in which `judge` takes them; into `out`
    `[4, n]` go score, low, high and change. All are contiguous. Where no folder for compiled code can be
    written, every start compiles anew.
    """
    stamp = _stamp()

    def score(times, ids, values, blocks, bits, params, out):  # type: ignore[no-untyped-def]
        _score(times, ids, values, blocks, bits, params, out)
        return stamp

    signature = "(i8[::1], i8[::1], f8[::1], f4[:,::1], u4[:,::1], f4[::1], f8[:,::1])"
    try:
        return _built(signature, score, cached=True)
    except (RuntimeError, OSError) as error:
        log.warning("compiled code is not kept, every start takes some seconds longer: %s", error)
        return _built(signature, score, cached=False)


def _built(signature: str, function: Callable[..., Any], cached: bool) -> Callable[..., None]:
    built: Callable[..., None] = njit(signature, error_model="numpy", cache=cached)(function)
    return built
