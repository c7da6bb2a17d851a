"""The recipe of the streaming detector: one scalar step, which scores a value and then learns from it.

Every constant is dimensionless: in samples, in scales or as a probability. Only `params_of` knows times.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from detectors.compiled import compiled
from detectors.streaming import week
from detectors.streaming.choose import short
from detectors.streaming.settings import StreamingSettings
from telemetry.bits import Floats, Ints

_DAY = 86_400_000  # ms
_HOUR = 3_600_000

TAIL_STATE: tuple[str, ...] = (
    "edge",  # where the tail begins: what 5 % of all samples exceed
    "rare",  # -log of the clusters per sample above it
    "top",  # the highest value of the cluster that is on; 0: none is
    "width",  # of the tail and
    "shape",  # by what was known when the last cluster ended; 16 bits each
)
MOMENTS: tuple[str, ...] = (
    "excess",  # mean height of the clusters above the edge
    "record",  # the highest cluster ever, above the edge, and
    "second",  # the next; 16 bits each
)
STATISTICS: tuple[str, ...] = ("spike", "slow", "far", "drift", "shift")
STATE: tuple[str, ...] = (
    "count",  # values learned from
    "level",
    "seasonal_level",  # the level of what the season does not explain
    "scale",  # mean absolute residual
    "far_level",  # level and scale over thousands of samples
    "far_scale",
    "plain_error",  # mean absolute residual without the season
    "season_error",  # and with it
    "quantum",  # the smallest move that was ever seen
    "last",  # the value before
    "slow",  # the residual over the last few samples, in scales
    "drift",  # distance from the far level over the last 15 samples, in far scales
    "rise",  # CUSUM; -1: a change was said, and the level has not come to it yet
    "fall",
    "peak",  # the highest score of the excursion that is on; 0: none is
    "since",  # samples that it has been said for; negative: samples that it has been silent for
    "run",  # samples since the last move
    "longest",  # the longest run before
    "hour",  # of the week, that `slot` is of
    "slot",  # the season of this hour, which is in its place below when the hour is over
    *(f"{statistic}_{field}" for statistic in STATISTICS for field in TAIL_STATE),
    *(f"{statistic}_{field}" for statistic in STATISTICS for field in MOMENTS),
    *(f"season_{hour}" for hour in range(24)),  # 16 bits each
)
(
    COUNT, LEVEL, SEASONAL, SCALE, FAR_LEVEL, FAR_SCALE, PLAIN_ERROR, SEASON_ERROR, QUANTUM, LAST,
    SLOW, DRIFT, RISE, FALL, PEAK, SINCE, RUN, LONGEST, HOUR, SLOT, TAILS,
) = range(21)  # fmt: skip
WIDTH = len(TAIL_STATE)
SPIKE, SLOWLY, FAR, DRIFTING, SHIFT = range(len(STATISTICS))
EXCESSES = TAILS + WIDTH * len(STATISTICS)
SEASON = EXCESSES + len(MOMENTS) * len(STATISTICS)
WIDE = len(STATE)
"""A state may be longer by week.WIDTH: then a profile of the week is in it, or room for one."""
_RARE, _TOP, _WIDE, _SHAPE = 1, 2, 3, 4  # places in a tail; its edge is the first

PARAMS: tuple[str, ...] = (
    "target",  # nats of a score of 1
    "change_target",  # and of a change of 1
    "warm_up",
    "floor",
    "max_score",
    "hold",  # samples
    "per_day",  # samples
)
TARGET, CHANGE_TARGET, WARM_UP, FLOOR, MAX_SCORE, HOLD, PER_DAY = range(7)

# Time constants, in samples. The level follows in 50; the scale must be slower than what it judges.
_LEVEL_WEIGHT = 0.02
_SCALE_WEIGHT = 0.01
_FAR_WEIGHT = 1 / 2_500
_SLOW = 0.15
_DRIFT = 0.06
_SEASON_WEIGHT = 0.1  # of a day: what happens once moves an hour of the season by a tenth
_SEASON_GAIN = 0.9  # the season is used when it leaves less than this part of the error
# Robustness, in scales. What is beyond says "far" and no more.
_FEW = 10.0  # values, of which a scale can be told,
_EARLY_CLIP = 20.0  # and so much is then the bound of updates of level and scale until the warm-up is over,
_CLIP = 5.0  # and after it
_REACH = 8.0  # of the slow residual
_FAR_REACH = 20.0
_NEAR_REACH = 3.0  # of CUSUM: no single sample makes a change
_ALLOWANCE = 1.0  # of CUSUM
_FAR_SHARE = 0.5  # the scale is at least this part of the far scale, so that a calm hour is no new normal
# Tails.
_TAIL = 0.05  # the part of all samples above the edge: some 30 clusters in the first 600 samples
_EDGE_STEP = 0.01
_EXCESS_WEIGHT = 0.02
_RATE_WEIGHT = 0.0001
_HYSTERESIS = 0.7  # a cluster is over when its statistic is below this part of the edge
_OUTLIER = 7.0  # an excess counts as at most this many mean excesses,
_OUTLIER_RECORD = 15.0  # for the record 15; or a third of it more than the record
_MEMORY = 20_000.0  # samples that a record can be the highest of
# The shape of a tail grows with how far its record is beyond what an exponential tail would give. Of what
# the smoothed statistics reach only a part counts, for they are cut at a reach.
_HEAVY = (0.1, 0.2, 0.1, 0.1, 0.2)
_EXPECTED = (0.0, 0.8, 0.0, 0.0, 0.8)
_LIGHTEST, _HEAVIEST = 0.02, 0.4
_ALONE = 1.5  # of the second highest cluster: as much does the highest count at most
_RECORD_SHARE = 0.6
# What is predicted from n clusters of an exponential tail is a tail of shape 1 / n, for its mean is only
# estimated; the edge and the rate are too.
_UNSURE = 2.0
_LEAST_WIDTH = 0.05
_RAREST = 13.8  # one cluster in a million samples
_INDEPENDENT = 5.0  # of the statistics: one of so many is asked at each sample
_START = ((2.5, 0.7), (0.6, 0.2), (3.0, 0.8), (1.5, 0.5), (3.0, 1.5))  # edges, excesses
# Gate.
_OVER = 0.7  # an excursion is over when the score was below this
_REST = 12.0  # for so many samples; until then only a new height is told:
_HEIGHT = 1.3
_STILL = 0.02  # a move is more than this part of the far scale
_LEAST_RUN = 5.0
_STILL_OFTEN = 10.0  # samples; to stand still says nothing of a series that stood still for longer
_NONE = 1e30
_UTMOST = 1e6


class Scores(NamedTuple):
    """By sample, `[n]`: the score (> 1 is anomalous), the expected band, the change score; NaN in warm-up."""

    score: Floats
    low: Floats
    high: Floats
    change: Floats


def params_of(settings: StreamingSettings, interval_ms: int) -> Floats:
    """What `step` needs to know, as PARAMS names it, for a series with a sample every `interval_ms`.

    A score of 1 is a tail probability: the budget of a day, shared by the samples of a day and by the
    statistics that are asked at each of them.
    """
    per_day = max(_DAY / max(interval_ms, 1), 24.0)
    rarity = min(settings.budget / per_day, 0.01)
    hold = max(settings.hold / max(interval_ms, 1), 2.0)
    return np.array(
        [
            math.log(_INDEPENDENT / rarity),
            math.log(2.0 / rarity),
            settings.warm_up,
            settings.floor,
            settings.max_score,
            hold,
            per_day,
        ]
    )


@compiled()
def _within(value, bound):  # type: ignore[no-untyped-def]
    return min(max(value, -bound), bound)


@compiled()
def settle(statistic, edge, rare, top, excess, record, second, count):  # type: ignore[no-untyped-def]
    """A cluster is over: rare, excess, record, second, width and shape of the tail by what is known now.

    Heights above the edge have a generalised Pareto tail with the mean excess as its scale. Its shape comes
    from the record: the highest of N exponential heights is about log(N) mean excesses; the further the
    record is, the heavier is the tail. One cluster alone proves no heavy tail: it may be a glitch, so the
    record counts as little more than the next highest. Source: Siffer et al., "Anomaly detection in streams
    with extreme value theory" (2017), with declustering (Leadbetter, 1991), and moments instead of
    likelihoods.
    """
    weight = max(_RATE_WEIGHT, 1.0 / (count + 30.0))
    rare = -math.log(math.exp(-rare) * (1.0 - weight) + weight)
    height = max(top - edge, 0.0)
    weight = max(_EXCESS_WEIGHT, 1.0 / (5.0 + _TAIL * count))
    excess = max(excess + weight * (min(height, _OUTLIER * excess) - excess), 1e-6)
    height = short(min(height, _OUTLIER_RECORD * max(excess, record / 3.0)))
    second = max(second, min(height, record))
    record = max(record, height)
    width, shape = _form(statistic, rare, excess, min(record, _ALONE * second), count)
    return rare, excess, record, second, width, shape


@compiled()
def _form(statistic, rare, excess, record, count):  # type: ignore[no-untyped-def]
    clusters = max(math.log(min(count + 2.0, _MEMORY)) - rare, 0.5)
    shape = _HEAVY[statistic] * (record / (excess * clusters) - _EXPECTED[statistic])
    shape = min(max(shape, _LIGHTEST, _UNSURE / (5.0 + _TAIL * count)), _HEAVIEST)
    width = max(excess, _RECORD_SHARE * record / clusters) * (1.0 - shape)
    return short(width), short(shape)


@compiled()
def _nats(state, statistic, value):  # type: ignore[no-untyped-def]
    """How rare a value is: -log of the rate of clusters (per sample) that reach it, by peaks over threshold.

    Clusters above the edge come at a rate, and their heights have the tail that `settle` knows.
    """
    at = TAILS + statistic * WIDTH
    edge, rare, shape = state[at], state[at + _RARE], state[at + _SHAPE]
    if value <= edge:
        return rare * value / edge
    return rare + math.log(1.0 + shape * (value - edge) / state[at + _WIDE]) / shape


@compiled()
def _learn_tail(state, statistic, value, count):  # type: ignore[no-untyped-def]
    at, moments = TAILS + statistic * WIDTH, EXCESSES + len(MOMENTS) * statistic
    edge, rare, top, width = state[at], state[at + _RARE], state[at + _TOP], state[at + _WIDE]
    pace = max(_EDGE_STEP, 2.0 / (count + 1.0)) * max(width, _LEAST_WIDTH)
    if value > edge:
        state[at] = edge + pace * (1.0 - _TAIL)
        state[at + _TOP] = max(top, value)
    else:
        state[at] = max(edge - pace * _TAIL, 0.1 * width)
    if top > 0.0 and value < _HYSTERESIS * edge:
        state[at + _TOP] = 0.0
        excess, record, second = state[moments], state[moments + 1], state[moments + 2]
        rare, excess, record, second, width, shape = settle(
            statistic, edge, rare, top, excess, record, second, count
        )
        state[at + _RARE], state[moments] = rare, excess
        state[moments + 1], state[moments + 2] = record, second
        state[at + _WIDE], state[at + _SHAPE] = width, shape
    else:  # log(1 - weight) is nearly -weight
        state[at + _RARE] = min(rare + max(_RATE_WEIGHT, 1.0 / (count + 30.0)), _RAREST)


@compiled()
def _start(state, value):  # type: ignore[no-untyped-def]
    state[:WIDE] = 0.0
    for field in (LEVEL, SEASONAL, FAR_LEVEL, LAST):
        state[field] = value
    state[SINCE] = -_REST
    for statistic in range(len(_START)):
        at, (edge, excess) = TAILS + statistic * WIDTH, _START[statistic]
        state[at], state[at + _RARE], state[EXCESSES + len(MOMENTS) * statistic] = (
            edge,
            -math.log(_TAIL),
            excess,
        )
        state[at + _WIDE], state[at + _SHAPE] = _form(statistic, -math.log(_TAIL), excess, 0.0, 0.0)


@compiled()
def _turn(state, hour, per_day):  # type: ignore[no-untyped-def]
    """Put the season of the hour that is over into its place, and take that of the hour which begins."""
    if state[HOUR] == hour:
        return
    before, profile = int(state[HOUR]), state[WIDE:]
    known = len(profile) > 0 and profile[week.STATUS] > week.NONE
    place, season, moved = SEASON + before % 24, state[SLOT], 0.0
    if known:
        pace = 24.0 * _SEASON_WEIGHT / per_day
        season, moved = week.leave(profile, before, state[place], season, state[COUNT], pace)
    state[SEASONAL] += moved
    state[place] = short(season)
    state[HOUR], state[SLOT] = hour, state[SEASON + hour % 24]
    if known and profile[week.STATUS] < week.BACK:
        state[SLOT] = week.enter(profile, hour, state[SLOT], state[COUNT])
    elif known:
        profile[week.STATUS] = week.NONE
    elif len(profile) and week.wanted(
        state[COUNT] / per_day, state[PLAIN_ERROR], state[SEASON_ERROR], _SEASON_GAIN
    ):
        week.begin(profile)


@compiled()
def step(state, hour, value, params):  # type: ignore[no-untyped-def]
    """Score one value by what was known before it, then learn from it.

    `state` holds the fields of STATE (all 0 before the first value) and is changed in place; if it is longer,
    the rest is a profile of the week. `hour` is that of the week (0-167, UTC, from Thursday on, as the
    epoch), `params` come from `params_of`. Returns score, low, high, change: NaN in warm-up, or if the value
    is not finite, which leaves the state alone.
    """
    if not math.isfinite(value):
        return math.nan, math.nan, math.nan, math.nan
    count = state[COUNT]
    if count == 0.0:
        _start(state, value)
        state[HOUR] = hour
    _turn(state, hour, params[PER_DAY])
    season = state[SLOT]
    seasonal = count > 2.0 * params[PER_DAY] and state[SEASON_ERROR] < _SEASON_GAIN * state[PLAIN_ERROR]
    centre = state[SEASONAL] + season if seasonal else state[LEVEL]
    # A value has a say in what it is judged by, lest a first move from 0 be infinite, but none in how much is
    # learned from it: one absurd reading would else carry the level along, and widen the band for days.
    least = max(0.5 * state[QUANTUM], params[FLOOR] * abs(centre), 1e-30)
    own = params[FLOOR] * abs(value)
    known_scale = max(state[SCALE], _FAR_SHARE * state[FAR_SCALE], least)
    known_far_scale = max(state[FAR_SCALE], least)
    scale, far_scale = max(known_scale, own), max(known_far_scale, own)
    residual = value - centre
    z = _within(residual / scale, _UTMOST)
    far = _within((value - state[FAR_LEVEL] - (season if seasonal else 0.0)) / far_scale, _UTMOST)
    slow = state[SLOW] + _SLOW * (_within(z, _REACH) - state[SLOW])
    drift = state[DRIFT] + _DRIFT * (_within(far, _FAR_REACH) - state[DRIFT])
    moved = abs(value - state[LAST])
    run = 0.0 if moved > _STILL * state[FAR_SCALE] else state[RUN] + 1.0

    rarest = _stuck(state, run)
    for place, statistic in enumerate((z, slow, far, drift)):
        rarest = max(rarest, _nats(state, place, abs(statistic)))
    raw = min(rarest / params[TARGET], params[MAX_SCORE])
    half = scale * _reach_of(state, SPIKE, params[TARGET])
    change = _learn_shift(state, _within(z, _NEAR_REACH), slow, params)
    if count >= _FEW:
        for place, statistic in enumerate((z, slow, far, drift)):
            _learn_tail(state, place, abs(statistic), count)
        state[SLOW], state[DRIFT] = slow, drift
    _learn_run(state, run, moved)
    warm = count >= params[WARM_UP]
    bound, far_bound = _NONE, _NONE
    if count >= _FEW:
        clip = _CLIP if warm else _EARLY_CLIP
        bound, far_bound = clip * known_scale, clip * known_far_scale
    _learn_level(state, residual, value, bound, params)
    _learn_far(state, value, season if seasonal else 0.0, far_bound)
    _learn_season(state, value, bound, far_bound, params)
    state[LAST] = value
    state[COUNT] = count + 1.0
    if not warm:
        return math.nan, math.nan, math.nan, math.nan
    return _gate(state, raw, params[HOLD]), centre - half, centre + half, min(change, params[MAX_SCORE])


@compiled()
def _reach_of(state, statistic, target):  # type: ignore[no-untyped-def]
    """The value of a statistic at which its score is 1: `_nats`, the other way round."""
    at = TAILS + statistic * WIDTH
    edge, rare, shape = state[at], state[at + _RARE], state[at + _SHAPE]
    if target <= rare:
        return edge * target / rare
    return edge + (math.exp(shape * (target - rare)) - 1.0) / shape * state[at + _WIDE]


@compiled()
def _stuck(state, run):  # type: ignore[no-untyped-def]
    """How rare it is that a series does not move for so long: runs are geometric, the longest says how steep.

    A series that has hardly ever moved is no stuck one.
    """
    count = state[COUNT]
    if 10.0 * run > count or state[LONGEST] > _STILL_OFTEN:
        return 0.0
    return run * math.log(min(count + 2.0, _MEMORY)) / max(state[LONGEST], _LEAST_RUN)


@compiled()
def _learn_run(state, run, moved):  # type: ignore[no-untyped-def]
    if run == 0.0:
        known = _OUTLIER_RECORD * max(state[LONGEST], _LEAST_RUN)
        most = _NONE if 10.0 * state[RUN] > state[COUNT] else known
        state[LONGEST] = max(state[LONGEST], min(state[RUN], most))
    if moved > 0.0 and (state[QUANTUM] == 0.0 or moved < state[QUANTUM]):
        state[QUANTUM] = moved
    state[RUN] = run


@compiled()
def _learn_shift(state, z, slow, params):  # type: ignore[no-untyped-def]
    """Two-sided CUSUM (Page, 1954), whose heights have a tail of their own; returns the change score.

    One change is said once: after it CUSUM waits until the level has come to the new one.
    """
    if state[RISE] < 0.0:
        if abs(slow) < 0.5 * state[TAILS + SLOWLY * WIDTH]:
            state[RISE] = state[FALL] = 0.0
        return 0.0
    rise = max(0.0, state[RISE] + z - _ALLOWANCE)
    fall = max(0.0, state[FALL] - z - _ALLOWANCE)
    height = max(rise, fall)
    change = _nats(state, SHIFT, height) / params[CHANGE_TARGET]
    if state[COUNT] >= _FEW:
        _learn_tail(state, SHIFT, height, state[COUNT])
        state[RISE], state[FALL] = rise, fall
        if change > 1.0:
            state[RISE] = -1.0
    return change


@compiled()
def _learn_level(state, residual, value, bound, params):  # type: ignore[no-untyped-def]
    """Level and scale; what is far is clipped, so that a spike poisons nothing and a shift is learned."""
    count = state[COUNT] + 1.0
    plain = _within(value - state[LEVEL], bound)
    state[LEVEL] += max(_LEVEL_WEIGHT, 1.0 / count) * plain
    if count > 1.0:  # the first value has no residual
        size = min(abs(residual), bound)
        state[SCALE] += max(_SCALE_WEIGHT, 1.0 / (count - 1.0)) * (size - state[SCALE])
        weight = max(0.5 / params[PER_DAY], 1.0 / count)
        state[PLAIN_ERROR] += weight * (abs(plain) - state[PLAIN_ERROR])


@compiled()
def _learn_far(state, value, season, bound):  # type: ignore[no-untyped-def]
    count = state[COUNT] + 1.0
    far = value - state[FAR_LEVEL]
    state[FAR_LEVEL] += max(_FAR_WEIGHT, 1.0 / count) * _within(far, bound)
    if count > 1.0:
        size = min(abs(far - season), bound)
        state[FAR_SCALE] += max(_FAR_WEIGHT, 1.0 / (count - 1.0)) * (size - state[FAR_SCALE])


@compiled()
def _learn_season(state, value, bound, far_bound, params):  # type: ignore[no-untyped-def]
    """The season is the distance from the far level by hour of day; the rest has a level of its own."""
    count = state[COUNT] + 1.0
    season, lived = state[SLOT], count - params[PER_DAY]
    rest = _within(value - season - state[SEASONAL], bound)
    state[SEASONAL] += max(_LEVEL_WEIGHT, 1.0 / count) * rest
    if lived > 0.0 and count > 1.0:
        weight = max(0.5 / params[PER_DAY], 1.0 / max(lived, 1.0))
        state[SEASON_ERROR] += weight * (abs(rest) - state[SEASON_ERROR])
    weight = max(24.0 * _SEASON_WEIGHT / params[PER_DAY], 1.0 / (1.0 + count / 24.0))
    fresh = _within(value - state[FAR_LEVEL] - season, far_bound)
    state[SLOT] += min(weight, 1.0) * fresh


@compiled()
def _gate(state, raw, hold):  # type: ignore[no-untyped-def]
    """One excursion is one onset: the score rises above 1 once, again only after calm or at a new height.

    While the excursion lasts the score stays, but for `hold` samples at most: then it is the new normal.
    """
    peak, since = state[PEAK], state[SINCE]
    said = since > 0.0
    score = raw
    if raw < _OVER:
        since = min(since, 0.0) - 1.0
        if since < -_REST:
            peak, since = 0.0, -_REST - 1.0
    elif raw <= 1.0:
        since = 0.0
    elif said:
        since += 1.0
    elif peak > 0.0 and raw < _HEIGHT * peak:
        since = 0.0
    else:
        since = 1.0
    if raw > 1.0:
        peak = max(peak, raw)
        if since > hold or since <= 0.0:
            score, since = 1.0, 0.0
    state[PEAK], state[SINCE] = peak, since
    return score


@compiled()
def _run(hours, values, params, state, out):  # type: ignore[no-untyped-def]
    for place in range(len(values)):
        score, low, high, change = step(state, hours[place], values[place], params)
        out[0, place], out[1, place], out[2, place], out[3, place] = score, low, high, change


def run(times: Ints, values: Floats, settings: StreamingSettings | None = None) -> Scores:
    """One series from its beginning: times in ms, ascending, and values, `[n]` each.

    >>> times = np.arange(200) * 5_000
    >>> values = 50 + np.random.default_rng(1).normal(size=200)
    >>> values[150] = 90
    >>> scores = run(times, values)
    >>> np.flatnonzero(scores.score > 1)[0]
    np.int64(150)
    """
    settings = settings or StreamingSettings()
    interval = int(np.median(np.diff(times))) if len(times) > 1 else 60_000
    hours = (np.asarray(times, np.int64) // _HOUR) % 168
    out = np.full((4, len(values)), np.nan)
    params = params_of(settings, interval)
    state = np.zeros(WIDE + week.WIDTH, np.float32)
    _run(hours, np.asarray(values, np.float64), params, state, out)
    return Scores(*out)
