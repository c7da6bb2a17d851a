"""What any score has to beat: chance and an alarm that is always on."""

from __future__ import annotations

import math

import numpy as np

from model.moment import DAY
from telemetry.bits import Floats


def random_scores(rows: int, interval: int, seed: int) -> Floats:
    """Scores without any knowledge, above 1 about once a day, `[rows]`; `interval` in ms.

    >>> scores = random_scores(288 * 1000, 300_000, 1)
    >>> 900 < (scores > 1).sum() < 1100
    np.True_
    """
    chance = np.random.default_rng(seed)
    return chance.exponential(1.0 / math.log(max(DAY / interval, 2.0)), rows)


def constant_alarm(rows: int) -> Floats:
    """A score that is always above 1, `[rows]`."""
    return np.full(rows, 2.0)
