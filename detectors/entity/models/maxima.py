"""How high a score must be to be as rare as the budget of false alarms: from the maxima of blocks of time.

The largest of many rows has a Gumbel distribution, whatever the tail of a row is, if that is exponential
(Coles, "An Introduction to Statistical Modeling of Extreme Values", 2001, chapter 3). Rows that follow each
other say the same, so that how often a row is above a level tells little of how often an alarm would begin;
blocks of six hours hardly do.
"""

from __future__ import annotations

import math

from detectors.compiled import compiled
from model.moment import DAY, HOUR

BLOCK = 6 * HOUR
_PRIOR = 8.0  # blocks that the values before an entity has its own count for: two days
_EULER = 0.577  # the mean of a Gumbel distribution is so many of its scales above its location
_DEVIATION = 0.98  # its mean absolute deviation, in scales
_RARE = math.log(200.0)
_LEAST, _MOST = 0.25, 4.0  # of an entity's level, in the prior one
PRIORS = ((1.2, 0.9), (0.25, 0.2))
"""Mean and mean deviation of the maxima of `state` and `change` in nats, of entities not known yet: about the
middle of server machines on which nothing is wrong, nearer the lively than the calm ones."""


def nats_of(budget: float) -> float:
    """What a block's maximum must exceed its location by, in scales, to do so `budget` times a day.

    >>> round(nats_of(0.02), 2), round(nats_of(1.0), 2)
    (5.3, 1.39)
    """
    return math.log(max(DAY / BLOCK / budget, 2.0))


@compiled()
def level_of(mean, deviation, nats):  # type: ignore[no-untyped-def]
    """The level that a block's maximum exceeds with a probability of exp(-nats)."""
    return mean + deviation / _DEVIATION * (nats - _EULER)


@compiled()
def learn(maxima, height, prior, nats, blocks, most):  # type: ignore[no-untyped-def]
    """Learn the maximum of one block; `maxima` is [mean, deviation, level], changed in place.

    What is rarer than a block in 50 days counts as if it were just that rare. `prior` is the level of
    entities that nothing is known of, `blocks` are those before, `most` the memory.
    """
    gain = 1.0 / (min(blocks, most) + _PRIOR + 1.0)
    held = min(height, level_of(maxima[0], maxima[1], _RARE))
    maxima[1] += gain * (abs(held - maxima[0]) - maxima[1])
    maxima[0] += gain * (held - maxima[0])
    level = level_of(maxima[0], maxima[1], nats)
    maxima[2] = min(max(level, _LEAST * prior), _MOST * prior)
