"""The recipe of the streaming detector: one scalar step, which scores a value and then learns from it.

Every constant is dimensionless: in samples, in scales or as a probability. Only `params_of` knows times.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from detectors.streaming.settings import StreamingSettings
from telemetry.bits import Floats, Ints

_DAY = 86_400_000  # ms
_HOUR = 3_600_000

STATE: tuple[str, ...] = (
    "count",  # values learned from
    "level",
    "scale",  # mean absolute residual
    "quantum",  # the smallest move that was ever seen
    "last",  # the value before
    "plain_error",  # mean absolute residual without the season
    "season_error",  # and with it
    "fast",  # the residual over the last few samples, in scales
    "slow",  # and over some more
    "spread",  # mean |z| over the last few samples
    "spike_edge",  # the tails of the four statistics: where they begin, and their mean excess
    "spike_excess",
    "fast_edge",
    "fast_excess",
    "slow_edge",
    "slow_excess",
    "spread_edge",
    "spread_excess",
    "peak",  # the highest score of the excursion that is on; 0: none is
    "calm",  # samples since the score was last high
    "rise",  # CUSUM
    "fall",
    *(f"season_{hour}" for hour in range(24)),
)
(
    COUNT, LEVEL, SCALE, QUANTUM, LAST, PLAIN, SEASONED, FAST, SLOW, SPREAD, TAILS,
) = range(11)  # fmt: skip
PEAK, CALM, RISE, FALL, SEASON = 18, 19, 20, 21, 22

PARAMS: tuple[str, ...] = ("target", "warm_up", "floor", "max_score", "cusum")
TARGET, WARM_UP, FLOOR, MAX_SCORE, CUSUM = range(5)

_LEVEL_WEIGHT = 0.02  # a time constant of 50 samples
_SCALE_WEIGHT = 0.01
_SEASON_WEIGHT = 0.2  # of a day, spread over the samples of its hour
_CLIP = 3.0  # an update moves level and scale as if the residual were at most this many scales
_FAST, _SLOW, _SHORT = 0.3, 0.06, 0.12
_REACH = 8.0  # a residual enters the smoothed ones as if it were at most this many scales
_TAIL = 0.05  # the part of all samples that is tail
_TAIL_NATS = math.log(1 / _TAIL)
_EDGE_STEP = 0.05
_EXCESS_WEIGHT = 0.02
_KINDS = 4
_OVER = 0.7  # an excursion is over when the score was below this
_REST = 12.0  # for so many samples
_DRIFT = 0.5  # CUSUM's allowance, in scales


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
    rarity = settings.budget * min(interval_ms, _DAY) / _DAY
    target = math.log(_KINDS / min(rarity, 0.01))
    run_length = 1.0 / min(rarity, 0.01)
    cusum = math.log(run_length) / (2 * _DRIFT) + 4.0
    return np.array([target, settings.warm_up, settings.floor, settings.max_score, cusum])


@njit(cache=True)
def _nats(state, at, value):  # type: ignore[no-untyped-def]
    """How rare a statistic is: -log of the part of all samples that reach it, with an exponential tail."""
    edge, excess = state[at], state[at + 1]
    if value <= edge:
        return _TAIL_NATS * value / edge
    return _TAIL_NATS + (value - edge) / excess


@njit(cache=True)
def _learn_tail(state, at, value, count):  # type: ignore[no-untyped-def]
    edge, excess = state[at], state[at + 1]
    step = max(_EDGE_STEP, 2.0 / (count + 1.0))
    if value > edge:
        weight = max(_EXCESS_WEIGHT, 1.0 / (5.0 + _TAIL * count))
        state[at + 1] = excess + weight * (min(value - edge, 5.0 * excess) - excess)
        state[at] = edge + step * (1.0 - _TAIL)
    else:
        state[at] = max(edge - step * _TAIL, 0.1)


@njit(cache=True)
def _start(state, value):  # type: ignore[no-untyped-def]
    state[:] = 0.0
    state[LEVEL] = value
    state[LAST] = value
    state[SPREAD] = 1.0
    state[TAILS], state[TAILS + 1] = 2.5, 0.7
    state[TAILS + 2], state[TAILS + 3] = 1.2, 0.3
    state[TAILS + 4], state[TAILS + 5] = 0.6, 0.2
    state[TAILS + 6], state[TAILS + 7] = 1.5, 0.3


@njit(cache=True)
def step(state, hour_of_day, value, params):  # type: ignore[no-untyped-def]
    """Score one value by what was known before it, then learn from it.

    `state` holds the fields of STATE (all 0 before the first value) and is changed in place, `hour_of_day`
    is 0-23 (UTC), `params` come from `params_of`. Returns score, low, high, change: NaN in warm-up, or if the
    value is not finite, which leaves the state alone.
    """
    nan = math.nan
    if not math.isfinite(value):
        return nan, nan, nan, nan
    count = state[COUNT]
    if count == 0.0:
        _start(state, value)
    level = state[LEVEL]
    slot = SEASON + hour_of_day
    season = state[slot]
    explains = state[SEASONED] < 0.9 * state[PLAIN] and count > 0
    centre = level + season if explains else level
    residual = value - centre
    scale = max(state[SCALE], params[FLOOR] * abs(level), 0.5 * state[QUANTUM], 1e-9)
    z = residual / scale
    size = abs(z)
    reach = min(max(z, -_REACH), _REACH)
    fast = state[FAST] + _FAST * (reach - state[FAST])
    slow = state[SLOW] + _SLOW * (reach - state[SLOW])
    spread = state[SPREAD] + _SHORT * (min(size, _REACH) - state[SPREAD])
    rarest = max(
        max(_nats(state, TAILS, size), _nats(state, TAILS + 2, abs(fast))),
        max(_nats(state, TAILS + 4, abs(slow)), _nats(state, TAILS + 6, spread)),
    )
    raw = min(rarest / params[TARGET], params[MAX_SCORE])
    half = scale * (state[TAILS] + state[TAILS + 1] * max(params[TARGET] - _TAIL_NATS, 0.0))
    rise = max(0.0, state[RISE] + min(z, 4.0) - _DRIFT)
    fall = max(0.0, state[FALL] - max(z, -4.0) - _DRIFT)
    change = max(rise, fall) / params[CUSUM]

    state[COUNT] = count + 1.0
    move = abs(value - state[LAST])
    if move > 0.0 and (state[QUANTUM] == 0.0 or move < state[QUANTUM]):
        state[QUANTUM] = move
    state[LAST] = value
    if count >= 10.0:
        _learn_tail(state, TAILS, size, count)
        _learn_tail(state, TAILS + 2, abs(fast), count)
        _learn_tail(state, TAILS + 4, abs(slow), count)
        _learn_tail(state, TAILS + 6, spread, count)
        state[FAST] = fast
        state[SLOW] = slow
        state[SPREAD] = spread
        state[RISE] = 0.0 if change > 1.0 else rise
        state[FALL] = 0.0 if change > 1.0 else fall
    plain = value - level
    bound = _CLIP * scale if count >= params[WARM_UP] else math.inf
    state[LEVEL] = level + max(_LEVEL_WEIGHT, 1.0 / (count + 1.0)) * min(max(residual, -bound), bound)
    if count > 0.0:
        weight = max(_SCALE_WEIGHT, 1.0 / count)
        state[SCALE] += weight * (min(abs(residual), bound) - state[SCALE])
        state[PLAIN] += _SCALE_WEIGHT * (min(abs(plain), bound) - state[PLAIN])
        state[SEASONED] += _SCALE_WEIGHT * (min(abs(plain - season), bound) - state[SEASONED])
        state[slot] = season + 0.02 * (min(max(plain - season, -bound), bound))
    if count < params[WARM_UP]:
        return nan, nan, nan, nan
    return _gate(state, raw), centre - half, centre + half, change


@njit(cache=True)
def _gate(state, raw):  # type: ignore[no-untyped-def]
    """One excursion is one onset: once the score has fallen to 1, only calm or a new height lets it rise."""
    peak, calm = state[PEAK], state[CALM]
    calm = calm + 1.0 if raw < _OVER else 0.0
    if calm > _REST:
        peak = 0.0
    on = peak > 0.0
    score = raw
    if on and raw > 1.0 and state[CALM] > 0.0 and raw < 1.2 * peak:
        score = 1.0
    state[PEAK] = max(peak, raw) if raw > 1.0 else peak
    state[CALM] = calm
    return score


@njit(cache=True)
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
    hours = (np.asarray(times, np.int64) // _HOUR) % 24
    out = np.full((4, len(values)), np.nan)
    params = params_of(settings, interval)
    _run(hours, np.asarray(values, np.float64), params, np.zeros(len(STATE), np.float32), out)
    return Scores(*out)
