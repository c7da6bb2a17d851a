"""From what the models see to two scores that mean the same for every entity: > 1 is out of budget."""

from __future__ import annotations

import math

import numpy as np

from detectors.compiled import compiled
from detectors.entity.models.fit import MODELS, TAIL
from detectors.entity.models.maxima import BLOCK, PRIORS, learn, level_of, nats_of
from detectors.entity.settings import EntitySettings
from telemetry.bits import Flags, Floats

SEEN = len(MODELS) + 1
"""What is calibrated: each model, and the move against the moving baseline."""

PARAMS = (
    "slow",  # rows: time constant of the tails of `state`
    "recent",  # and of `change`
    "patience",  # rows in which an anomaly becomes the new normal of `state`
    "block",  # rows of which the largest score is learned
    "blocks",  # time constant of these
    "nats",  # by which an alarm is rarer than a block
    "state_mean",
    "state_deviation",
    "state_level",  # of an entity of which nothing is known
    "change_mean",
    "change_deviation",
    "change_level",
    "max_score",
)
SLOW, RECENT, PATIENCE, _BLOCK, _BLOCKS, _NATS, _PRIOR, _, _, _, _, _, MAX_SCORE = range(len(PARAMS))

FIELDS = (
    *(f"state_edge_{name}" for name in MODELS),
    *(f"state_excess_{name}" for name in MODELS),
    *(f"change_edge_{name}" for name in (*MODELS, "jump")),
    *(f"change_excess_{name}" for name in (*MODELS, "jump")),
    *(f"state_{part}" for part in ("mean", "deviation", "level", "highest")),
    *(f"change_{part}" for part in ("mean", "deviation", "level", "highest")),
    "brief",
    "lasting",
    "lately",
    "since",
    "judged",
    "rows",
)
"""The state of an entity. Maxima of blocks: mean, mean deviation and the level that is a score of 1;
`highest` is that of the block at hand; there were so many `rows`. `brief` and `lasting` are the excess of
`state` smoothed over few and many rows, `lately` that of `change`; `since` counts the rows of an anomaly
that lasts, `judged` those that the tails were learned from."""
_LAST = len(FIELDS)
_STATE, _CHANGE = _LAST - 14, _LAST - 10
_BRIEF, _LASTING, _LATELY, _SINCE, _JUDGED, _ROWS = range(_LAST - 6, _LAST)
_LEVEL, _HIGHEST = 2, 3
_CLIP = 5.0  # an excess counts for the mean excess as if it were at most this many of it
_LEAST, _MOST = 0.2, 5.0  # the mean excess of an entity, in those of the sample
_BRIEF_WEIGHT, _LASTING_WEIGHT = 0.3, 0.03
"""Of a new row: a short strong anomaly and a long weak one both show, in the larger of two means."""
_LATELY_WEIGHT = 0.2
_VOTE = 10.0  # nats: the most that one model has to say
_PLAIN, _AGREED = 1.0, 0.7
"""Powers of the mean of what the models say, of `state` and of `change`. Below 1 several that agree a little
count for more than one that is loud, and a short alarm is mostly one that is loud."""
_LEARNS = 0.5  # nats: a smoothed excess up to this is learned from
_YOUNG = 500.0  # rows: no tail is learned faster than that
_BARELY = 0.5  # a score up to this is learned from by who is young
_SHARE = 0.25  # what is unlike lately must be so unlike all that was, too: nothing else is an alarm
_CALM = 4.0  # an anomaly is forgotten so many times faster than it lasts


def params_of(settings: EntitySettings, interval: int) -> Floats:
    """What `judge` needs to know, as PARAMS names it, for rows every `interval` ms."""
    nats = nats_of(settings.budget)
    prior = [value for pair in PRIORS for value in (*pair, level_of(*pair, nats))]
    return np.array(
        [
            settings.memory / interval,
            settings.recent / interval,
            settings.patience / interval,
            max(BLOCK // interval, 1),
            settings.memory / BLOCK,
            nats,
            *prior,
            settings.max_score,
        ]
    )


def blank(size: int, params: Floats) -> Floats:
    """The state of entities that nothing is known of: as the sample is, `[size, len(FIELDS)]`."""
    state = np.zeros((size, _LAST))
    models = len(MODELS)
    state[:, models : 2 * models] = 1.0
    state[:, 2 * models + SEEN : 2 * models + 2 * SEEN] = 1.0
    state[:, 2 * models + SEEN - 1] = math.log(3.0)
    state[:, 2 * models + 2 * SEEN - 1] = 0.5
    state[:, _STATE : _STATE + 3] = params[_PRIOR : _PRIOR + 3]
    state[:, _CHANGE : _CHANGE + 3] = params[_PRIOR + 3 : _PRIOR + 6]
    return state


def lasts(own: Floats, params: Floats) -> Flags:
    """Which entities have been anomalous for longer than our patience, `[m]` of `[m, FIELDS]`."""
    long: Flags = own[:, _SINCE] > params[PATIENCE]
    return long


def alarmed(own: Floats) -> Flags:
    """Which entities have a score above 1, `[m]` of `[m, FIELDS]`."""
    state = np.fmax(own[:, _BRIEF], own[:, _LASTING])
    change = np.fmin(own[:, _LATELY], _SHARE * state)
    on: Flags = (state > own[:, _STATE + _LEVEL]) | (change > own[:, _CHANGE + _LEVEL])
    return on


@compiled()
def _excess(own, at, width, seen, power):  # type: ignore[no-untyped-def]
    total = 0.0
    for model in range(width):
        over = seen[model] - own[at + model]
        if over > 0.0:
            total += min(over / own[at + width + model], _VOTE) ** power
    return (total / width) ** (1.0 / power)


@compiled()
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


@compiled()
def judge(depths, jumps, ages, entities, held, own, params, out, calm):  # type: ignore[no-untyped-def]
    """Score rows one after the other, then learn from each.

    `depths` `[m, models]` as Models.score gives them, `jumps` `[m]`, `own` the state `[n, FIELDS]`. Out:
    `out` `[m, 2]` state and change, `calm` `[m]`: whether the row is normal enough to fit on. Rows whose
    depths are NaN are left out. `ages` `[m]` are rows of the entity before it. Of rows that are `held` `[m]`
    nothing is said, and nothing learned: the score goes on after them where it was.
    """
    models = depths.shape[1]
    seen = np.empty(models + 1)
    for at in range(len(entities)):
        if math.isnan(depths[at, 0]):
            continue
        mine = own[entities[at]]
        if held[at]:
            calm[at] = max(mine[_BRIEF], mine[_LASTING]) <= _LEARNS
            continue
        seen[:models] = depths[at]
        seen[models] = jumps[at]
        excess = _excess(mine, 0, models, seen, _PLAIN)
        mine[_BRIEF] += _BRIEF_WEIGHT * (excess - mine[_BRIEF])
        mine[_LASTING] += _LASTING_WEIGHT * (excess - mine[_LASTING])
        excess = _excess(mine, 2 * models, models + 1, seen, _AGREED)
        mine[_LATELY] += _LATELY_WEIGHT * (excess - mine[_LATELY])
        state = max(mine[_BRIEF], mine[_LASTING])
        change = min(mine[_LATELY], _SHARE * state)
        out[at, 0] = min(state / mine[_STATE + _LEVEL], params[MAX_SCORE])
        out[at, 1] = min(change / mine[_CHANGE + _LEVEL], params[MAX_SCORE])
        calm[at] = state <= _LEARNS
        mine[_SINCE] = max(0.0, mine[_SINCE] - _CALM) if calm[at] else mine[_SINCE] + 1.0
        if calm[at] or (mine[_JUDGED] < _YOUNG and out[at, 0] < _BARELY):
            _learn(mine, 0, models, seen, min(max(_YOUNG, mine[_JUDGED]), params[SLOW]))
            mine[_JUDGED] += 1.0
        _learn(mine, 2 * models, models + 1, seen, min(max(_YOUNG, float(ages[at])), params[RECENT]))
        mine[_STATE + _HIGHEST] = max(mine[_STATE + _HIGHEST], state)
        mine[_CHANGE + _HIGHEST] = max(mine[_CHANGE + _HIGHEST], change)
        mine[_ROWS] += 1.0
        if mine[_ROWS] % params[_BLOCK] == 0.0:
            _block(mine, params)


@compiled()
def _block(mine, params):  # type: ignore[no-untyped-def]
    """A block is over: learn its maxima; not those of a `state` that was anomalous all along."""
    blocks = mine[_ROWS] / params[_BLOCK] - 1.0
    for score in range(2):
        at = _STATE + 4 * score
        prior = params[_PRIOR + 3 * score + 2]
        if score == 1 or mine[_SINCE] < params[_BLOCK]:
            learn(mine[at : at + 3], mine[at + _HIGHEST], prior, params[_NATS], blocks, params[_BLOCKS])
        mine[at + _HIGHEST] = 0.0
