"""The compiled pass over samples: gathers what belongs together, judges it, and puts the state back.

The state lies in *blocks* of LANES series: row by row, each row one number of each series, first what HOT
names, then the time of the last sample (as bits of an unsigned 32-bit number of ms), the moments of the tails
(two records in a number) and the 24 slots of the season (two in a number). Every sample reads and writes what
is HOT and the time. The rest is read where a cluster has ended or another hour has begun, lane by lane, and
profiles of the week lie apart. Samples of one block that follow one another are judged in one go; a lane
without a sample is computed and thrown away.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from detectors.compiled import compiled as kept
from detectors.streaming import choose, recipe, vector, week
from detectors.streaming.choose import larger, smaller
from detectors.streaming.vector import (
    AFTER,
    ELAPSED,
    ENDED,
    FORM,
    HOT,
    HOUR,
    LANES,
    RARE,
    SCORE,
    SHEET,
    SLOT,
    TAIL,
    TAILS,
    TOP,
    VALUE,
    judge,
)

_HOUR = 3_600_000  # ms
_SHIFT = LANES.bit_length() - 1
_LANE = LANES - 1
_TIME = len(HOT) * LANES
_MOMENTS = _TIME + LANES
_SEASON = _MOMENTS + 2 * len(recipe.STATISTICS) * LANES
BLOCK = _SEASON + 12 * LANES
"""Numbers of a block."""
_SEASONAL, _PLAIN, _SEASONED = (
    place * LANES for place in (recipe.SEASONAL, recipe.PLAIN_ERROR, recipe.SEASON_ERROR)
)
_INTERVAL = recipe.TAILS * LANES
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
def _turn(block, bits, lane, hour, series, weeks):  # type: ignore[no-untyped-def]
    """Put the season of the hour that is over into its place and take the next; see recipe._turn.

    `weeks`: the series that have a profile of the week, ascending; the row of each; the profiles; and how
    many series want one, how many give theirs back, and who wants one.
    """
    ids, rows, profiles, asked = weeks
    before, count, found = int(block[HOUR + lane]), float(block[lane]), np.searchsorted(ids, series)
    days = min(float(block[_INTERVAL + lane]) / recipe._DAY, 1.0 / 24.0)
    known = found < len(ids) and ids[found] == series
    place, shift = _SEASON + before % 24 // 2 * LANES + lane, np.uint32(before % 2 * 16)
    season = block[SLOT + lane]
    if known:
        profile, pace = profiles[rows[found]], 24.0 * recipe._SEASON_WEIGHT * days
        bits[SLOT + lane] = (bits[place] >> shift) << np.uint32(16)
        season, moved = week.leave(profile, before, block[SLOT + lane], season, count, pace)
        block[_SEASONAL + lane] += moved
    kept = bits[place] & (np.uint32(0xFFFF0000) >> shift)
    block[SLOT + lane] = choose.short(season)
    bits[place] = kept | ((bits[SLOT + lane] >> np.uint32(16)) << shift)
    place, shift = _SEASON + hour % 24 // 2 * LANES + lane, np.uint32(hour % 24 % 2 * 16)
    bits[SLOT + lane] = (bits[place] >> shift) << np.uint32(16)
    block[HOUR + lane] = hour
    if known and profiles[rows[found], week.STATUS] < week.BACK:
        block[SLOT + lane] = week.enter(profiles[rows[found]], hour, block[SLOT + lane], count)
    elif known:
        asked[1] += 1
    elif week.wanted(count * days, block[_PLAIN + lane], block[_SEASONED + lane], recipe._SEASON_GAIN):
        asked[2 + asked[0]] = series
        asked[0] += 1


@njit(error_model="numpy")
def _judge_block(block, bits, sheet, clock, params):  # type: ignore[no-untyped-def]
    for lane in range(LANES):
        sheet[ELAPSED + lane] = np.float32(np.int32(clock[lane] - bits[_TIME + lane]))
    budget, warm_up, hold, floor, max_score = params[0], params[1], params[2], params[3], params[4]
    for lane in range(len(clock)):  # a number that the compiler does not know: else it unrolls, scalar
        judge(block, sheet, lane, budget, warm_up, hold, floor, max_score)


@njit(error_model="numpy")
def _expect(block):  # type: ignore[no-untyped-def]
    """This block is next: bring its HOT rows and the times while another one is judged."""
    for row in range(0, _MOMENTS, LANES):
        choose.fetch(block, row)


@njit(error_model="numpy")
def _settle(block, sheet, lane):  # type: ignore[no-untyped-def]
    """Clusters have ended in this lane: what recipe.settle says of their tails."""
    ended, count = int(sheet[ENDED + lane]), float(block[lane])
    for statistic in range(len(recipe.STATISTICS)):
        if ended >> statistic & 1:
            at, moments = TAILS + statistic * TAIL + lane, _MOMENTS + 2 * statistic * LANES + lane
            edge, rare, top = float(block[at]), float(block[at + RARE]), float(block[at + TOP])
            record, second = choose.halves(block[moments + LANES])
            rare, excess, record, second, width, shape = recipe.settle(
                statistic, edge, rare, top, float(block[moments]), float(record), float(second), count
            )
            sheet[at + RARE], sheet[at + FORM] = rare, choose.joined(width, shape)
            block[moments], block[moments + LANES] = excess, choose.joined(record, second)


@njit(error_model="numpy")
def _store_all(block, bits, sheet, clock, out):  # type: ignore[no-untyped-def]
    ended = np.float32(0)
    for lane in range(LANES):
        ended += sheet[ENDED + lane]
    if ended > 0:
        for lane in range(LANES):
            if sheet[ENDED + lane] > 0:
                _settle(block, sheet, lane)
    for place in range(AFTER):
        block[place] = sheet[place]
    for lane in range(LANES):
        bits[_TIME + lane] = clock[lane]
    for column in range(4):
        for lane in range(LANES):
            out[column, lane] = sheet[SCORE + column * LANES + lane]


@njit(error_model="numpy")
def _store_one(block, bits, sheet, clock, lane, place, out):  # type: ignore[no-untyped-def]
    _settle(block, sheet, lane)
    for row in range(0, AFTER, LANES):
        block[row + lane] = sheet[row + lane]
    bits[_TIME + lane] = clock[lane]
    for column in range(4):
        out[column, place] = sheet[SCORE + column * LANES + lane]


@njit(error_model="numpy")
def _score(times, ids, values, blocks, all_bits, params, weeks, out):  # type: ignore[no-untyped-def]
    sheet = np.zeros(SHEET, np.float32)
    clock = np.zeros(LANES, np.uint32)
    lanes = np.zeros(LANES, np.int64)
    start, end = 0, len(ids)
    while start < end:
        block, bits = blocks[ids[start] >> _SHIFT], all_bits[ids[start] >> _SHIFT]
        hour = times[start] // _HOUR % 168
        stop = start + LANES
        if stop <= end and _take_run(times[start:stop], ids[start:stop], values[start:stop], sheet, clock):
            other = np.float32(0)
            for lane in range(LANES):
                other += abs(block[HOUR + lane] - np.float32(hour))
            if other > 0:
                for lane in range(LANES):
                    if block[HOUR + lane] != hour:
                        _turn(block, bits, lane, hour, ids[start + lane], weeks)
            if stop < end:
                _expect(blocks[ids[stop] >> _SHIFT])
            _judge_block(block, bits, sheet, clock, params)
            _store_all(block, bits, sheet, clock, out[:, start:stop])
            start = stop
            continue
        held = _take_some(times, ids, values, start, sheet, clock, lanes)
        for taken in range(held):
            if block[HOUR + lanes[taken]] != hour:
                _turn(block, bits, lanes[taken], hour, ids[start + taken], weeks)
        _judge_block(block, bits, sheet, clock, params)
        for taken in range(held):
            _store_one(block, bits, sheet, clock, lanes[taken], start + taken, out)
        start += held


def fresh(count: int) -> NDArray[np.float32]:
    """Blocks of series that have had no sample."""
    start = np.zeros(len(recipe.STATE), np.float32)
    recipe._start(start, 0.0)
    return np.tile(np.repeat(packed(start[None], 0, 0)[0].view(np.float32), LANES), (count, 1))


def packed(states: NDArray[np.float32], interval: float, time: int) -> NDArray[np.uint32]:
    """The numbers of blocks, `[n, BLOCK / LANES]`, of the recipe's states `[n, STATE]` at the time `time`."""
    bits = np.ascontiguousarray(states, np.float32).view(np.uint32)
    tails = bits[:, recipe.TAILS : recipe.EXCESSES].reshape(len(bits), -1, recipe.WIDTH)
    forms = _two(tails[..., 3], tails[..., 4])
    moments = bits[:, recipe.EXCESSES : recipe.SEASON].reshape(len(bits), -1, len(recipe.MOMENTS))
    records = _two(moments[..., 1], moments[..., 2])
    season = bits[:, recipe.SEASON :]
    few = np.array([np.float32(interval).view(np.uint32), time & 0xFFFFFFFF], np.uint32)
    few = np.tile(few, (len(bits), 1))
    return np.hstack(
        [
            bits[:, : recipe.TAILS],
            few[:, :1],
            np.concatenate([tails[..., :3], forms[..., None]], axis=-1).reshape(len(bits), -1),
            few[:, 1:],
            np.stack([moments[..., 0], records], axis=-1).reshape(len(bits), -1),
            _two(season[:, 1::2], season[:, ::2]),
        ]
    )


def _two(upper: NDArray[np.uint32], lower: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Two short numbers in one, as choose.joined."""
    both: NDArray[np.uint32] = (upper & np.uint32(0xFFFF0000)) | (lower >> np.uint32(16))
    return both


def _stamp() -> int:
    """Of the sources that are compiled: the cache looks at this file only, so others must count too."""
    files = (__file__, choose.__file__, recipe.__file__, vector.__file__, week.__file__)
    return zlib.crc32(b"".join(Path(file).read_bytes() for file in files))


@cache
def compiled() -> Callable[..., None]:
    """`score(times, ids, values, blocks, bits, params, weeks, out)`, from the cache if it is there.

    Times (ms), ids, values `[n]` of distinct series; of the state `blocks` `[series / LANES, BLOCK]` and its
    bits as unsigned integers; `params` the settings in the order in which `judge` takes them; `weeks` as
    `_turn` has it; into `out` `[4, n]` go score, low, high and change. All are contiguous. Where no folder
    for compiled code can be written, every start compiles anew.
    """
    stamp = _stamp()

    def score(times, ids, values, blocks, bits, params, weeks, out):  # type: ignore[no-untyped-def]
        _score(times, ids, values, blocks, bits, params, weeks, out)
        return stamp

    weeks = "Tuple((i8[::1], i8[::1], f4[:,::1], i8[::1]))"
    signature = f"(i8[::1], i8[::1], f8[::1], f4[:,::1], u4[:,::1], f4[::1], {weeks}, f8[:,::1])"
    built: Callable[..., None] = kept(signature, error_model="numpy")(score)
    return built
