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

from detectors.streaming import choose, recipe, vector
from detectors.streaming.vector import (
    AFTER,
    CHANGE,
    ELAPSED,
    HIGH,
    KEPT,
    LANES,
    LOW,
    SCORE,
    SEASON,
    SHEET,
    VALUE,
    judge,
)

log = logging.getLogger("fleetowl.detectors")

_HOUR = 3_600_000  # ms
_TIME = len(KEPT) * LANES
_SLOTS = _TIME + LANES
BLOCK = _SLOTS + 24 * LANES
"""Numbers of a block."""
_LARGEST = 1e30  # float32 ends at 3e38; a few sums and products must still fit


@njit(error_model="numpy")
def _load(block, bits, slot, sheet, clock):  # type: ignore[no-untyped-def]
    for place in range(SEASON):
        sheet[place] = block[place]
    for lane in range(LANES):
        sheet[SEASON + lane] = block[slot + lane]
    for lane in range(LANES):
        sheet[ELAPSED + lane] = np.float32(clock[lane] - bits[_TIME + lane])


@njit(error_model="numpy")
def _store_all(block, bits, slot, sheet, clock):  # type: ignore[no-untyped-def]
    for place in range(SEASON):
        block[place] = sheet[AFTER + place]
    for lane in range(LANES):
        block[slot + lane] = sheet[AFTER + SEASON + lane]
    for lane in range(LANES):
        bits[_TIME + lane] = clock[lane]


@njit(error_model="numpy")
def _store_one(block, bits, slot, sheet, clock, lane):  # type: ignore[no-untyped-def]
    for row in range(0, SEASON, LANES):
        block[row + lane] = sheet[AFTER + row + lane]
    block[slot + lane] = sheet[AFTER + SEASON + lane]
    bits[_TIME + lane] = clock[lane]


@njit(error_model="numpy")
def _judge_block(block, bits, slot, sheet, clock, params, lanes, rows, changes):  # type: ignore[no-untyped-def]
    """`lanes[k]` of the block holds the sample of `rows[k]` and `changes[k]`, distinct lanes."""
    _load(block, bits, slot, sheet, clock)
    for lane in range(LANES):
        judge(sheet, lane, params)
    if len(lanes) == LANES:
        _store_all(block, bits, slot, sheet, clock)
    for place, lane in enumerate(lanes):
        if len(lanes) < LANES:
            _store_one(block, bits, slot, sheet, clock, lane)
        rows[place, 0] = sheet[SCORE + lane]
        rows[place, 1] = sheet[LOW + lane]
        rows[place, 2] = sheet[HIGH + lane]
        changes[place] = sheet[CHANGE + lane]


@njit(error_model="numpy")
def _score(times, ids, values, blocks, all_bits, params, rows, changes):  # type: ignore[no-untyped-def]
    sheet = np.zeros(SHEET, np.float32)
    clock = np.zeros(LANES, np.uint32)
    lanes = np.zeros(LANES, np.int64)
    start, end = 0, len(ids)
    while start < end:
        block = ids[start] // LANES
        hour = times[start] // _HOUR
        held = 0
        while start + held < end and held < LANES:
            place = start + held
            if ids[place] // LANES != block:
                break
            time = times[place]
            if time < hour * _HOUR or time >= (hour + 1) * _HOUR:
                break
            lane = ids[place] % LANES
            lanes[held] = lane
            clock[lane] = np.uint32(time & 0xFFFFFFFF)
            sheet[VALUE + lane] = min(max(values[place], -_LARGEST), _LARGEST)
            held += 1
        stop = start + held
        _judge_block(
            blocks[block],
            all_bits[block],
            _SLOTS + (hour % 24) * LANES,
            sheet,
            clock,
            params,
            lanes[:held],
            rows[start:stop],
            changes[start:stop],
        )
        start = stop


def _stamp() -> int:
    """Of the sources that are compiled: the cache looks at this file only, so others must count too."""
    files = (__file__, choose.__file__, recipe.__file__, vector.__file__)
    return zlib.crc32(b"".join(Path(file).read_bytes() for file in files))


@cache
def compiled() -> Callable[..., None]:
    """`score(times, ids, values, blocks, bits, params, rows, changes)`, from the cache if it is there.

    Times (ms), ids, values `[n]` of distinct series; of the state `blocks` `[series / LANES, BLOCK]` and its
    bits as unsigned integers; `params` as vector has them; into `rows` `[n, 3]` and `changes` `[n]` go score,
    low, high and change. All are contiguous. Where no folder for compiled code can be written, every start
    compiles anew.
    """
    stamp = _stamp()

    def score(times, ids, values, blocks, bits, params, rows, changes):  # type: ignore[no-untyped-def]
        _score(times, ids, values, blocks, bits, params, rows, changes)
        return stamp

    signature = "(i8[::1], i8[::1], f8[::1], f4[:,::1], u4[:,::1], f4[::1], f8[:,::1], f8[::1])"
    try:
        return _built(signature, score, cached=True)
    except (RuntimeError, OSError) as error:
        log.warning("compiled code is not kept, every start takes some seconds longer: %s", error)
        return _built(signature, score, cached=False)


def _built(signature: str, function: Callable[..., Any], cached: bool) -> Callable[..., None]:
    built: Callable[..., None] = njit(signature, error_model="numpy", cache=cached)(function)
    return built
