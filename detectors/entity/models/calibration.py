"""From what the models see to two scores that mean the same for every entity: > 1 is out of budget."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from detectors.entity.models.fit import MODELS, TAIL
from detectors.entity.settings import EntitySettings
from telemetry.bits import Flags, Floats

_DAY = 86_400_000  # ms
SEEN = len(MODELS) + 1
"""What is calibrated: each model, and the move against the moving baseline."""

PARAMS = (
    "smooth",  # weight of a new row in both smoothed scores
    "slow",  # rows: time constant of the tails of `state`
    "recent",  # and of `change`
    "patience",  # rows in which an anomaly becomes the new normal of `state`
    "state_target",  # excess that is a score of 1
    "change_target",
    "max_score",
)
SMOOTH, SLOW, RECENT, PATIENCE, STATE_TARGET, CHANGE_TARGET, MAX_SCORE = range(len(PARAMS))

FIELDS = (
    *(f"state_edge_{name}" for name in MODELS),
    *(f"state_excess_{name}" for name in MODELS),
    *(f"change_edge_{name}" for name in (*MODELS, "jump")),
    *(f"change_excess_{name}" for name in (*MODELS, "jump")),
    "state",
    "change",
    "since",
)
"""The state of an entity; `since` counts the rows of an anomaly that lasts."""
_LAST = len(FIELDS)
_STATE, _CHANGE, _SINCE = _LAST - 3, _LAST - 2, _LAST - 1
_CLIP = 5.0  # an excess counts for the mean excess as if it were at most this many of it
_LEAST, _MOST = 0.2, 5.0  # the mean excess of an entity, in those of the sample
_SMOOTH = 0.2
_LEARNS = 0.15  # a state up to this is learned from
_YOUNG = 500.0  # rows: no tail is learned faster than that
_STATE_SHARE, _CHANGE_SHARE = 0.28, 0.09
"""Of the nats that the budget asks for: the mean excess of several models, smoothed, is that much smaller."""
_CALM = 4.0  # an anomaly is forgotten so many times faster than it lasts


def params_of(settings: EntitySettings, interval: int) -> Floats:
    """What `judge` needs to know, as PARAMS names it, for rows every `interval` ms."""
    rarity = math.log(max(TAIL * _DAY / interval / settings.budget, 10.0))
    return np.array(
        [
            _SMOOTH,
            settings.memory / interval,
            settings.recent / interval,
            settings.patience / interval,
            _STATE_SHARE * rarity,
            _CHANGE_SHARE * rarity,
            settings.max_score,
        ]
    )


def blank(size: int) -> Floats:
    """The state of entities that nothing is known of: as the sample is, `[size, len(FIELDS)]`."""
    state = np.zeros((size, _LAST))
    models = len(MODELS)
    state[:, models : 2 * models] = 1.0
    state[:, 2 * models + SEEN : 2 * models + 2 * SEEN] = 1.0
    state[:, 2 * models + SEEN - 1] = math.log(3.0)
    state[:, 2 * models + 2 * SEEN - 1] = 0.5
    return state


def lasts(own: Floats, params: Floats) -> Flags:
    """Which entities have been anomalous for longer than our patience, `[m]` of `[m, FIELDS]`."""
    long: Flags = own[:, _SINCE] > params[PATIENCE]
    return long


def alarmed(own: Floats, params: Floats) -> Flags:
    """Which entities have a score above 1, `[m]` of `[m, FIELDS]`."""
    on: Flags = (own[:, _STATE] > params[STATE_TARGET]) | (own[:, _CHANGE] > params[CHANGE_TARGET])
    return on


@njit(cache=True)
def _excess(own, at, width, seen):  # type: ignore[no-untyped-def]
    total = 0.0
    for model in range(width):
        over = seen[model] - own[at + model]
        if over > 0.0:
            total += over / own[at + width + model]
    return total / width


@njit(cache=True)
def _learn(own, at, width, seen, rows):  # type: ignore[no-untyped-def]
    """Robbins and Monro's quantile at 1 - TAIL, and the mean excess above it."""
    for model in range(width):
        over = seen[model] - own[at + model]
        excess = own[at + width + model]
        if over > 0.0:
            own[at + model] += excess * (1.0 - TAIL) / (rows * TAIL)
            excess += (min(over, _CLIP * excess) - excess) / (rows * TAIL)
            own[at + width + model] = min(max(excess, _LEAST), _MOST)
        else:
            own[at + model] -= excess / rows


@njit(cache=True)
def judge(depths, jumps, ages, entities, own, params, out, calm):  # type: ignore[no-untyped-def]
    """Score rows one after the other, then learn from each.

    `depths` `[m, models]` as Models.score gives them, `jumps` `[m]`, `own` the state `[n, FIELDS]`. Out:
    `out` `[m, 2]` state and change, `calm` `[m]`: whether the row is normal enough to fit on. Rows whose
    depths are NaN are left out. `ages` `[m]` are rows of the entity before it.
    """
    models = depths.shape[1]
    seen = np.empty(models + 1)
    for at in range(len(entities)):
        if math.isnan(depths[at, 0]):
            continue
        mine = own[entities[at]]
        seen[:models] = depths[at]
        seen[models] = jumps[at]
        mine[_STATE] += params[SMOOTH] * (_excess(mine, 0, models, seen) - mine[_STATE])
        mine[_CHANGE] += params[SMOOTH] * (_excess(mine, 2 * models, models + 1, seen) - mine[_CHANGE])
        state = mine[_STATE] / params[STATE_TARGET]
        out[at, 0] = min(state, params[MAX_SCORE])
        out[at, 1] = min(mine[_CHANGE] / params[CHANGE_TARGET], params[MAX_SCORE])
        if state > _LEARNS:
            mine[_SINCE] += 1.0
        else:
            mine[_SINCE] = max(0.0, mine[_SINCE] - _CALM)
        calm[at] = state <= _LEARNS
        age = max(_YOUNG, float(ages[at]))
        if calm[at]:
            _learn(mine, 0, models, seen, min(age, params[SLOW]))
        _learn(mine, 2 * models, models + 1, seen, min(age, params[RECENT]))
