"""Faults of one member of a group, put into its rows."""

from __future__ import annotations

import numpy as np

from telemetry.bits import Floats, Ints

KINDS = ("step", "ramp", "straggler", "stuck", "hang")
SIGMAS = (3.0, 6.0)
"""How far a step or a ramp goes, in robust sigmas of the metric's own short-term noise."""
SHARE = (0.6, 0.85)
"""What a straggler does of what it did."""
RISE = (12, 36)
"""Rows that a ramp takes: one to three minutes."""


def faulty(rows: Floats, kind: str, noise: Floats, chance: np.random.Generator) -> Floats:
    """The rows `[n, d]` of one member with a fault from the second row on; the first is still healthy.

    step, ramp: two to four metrics move by 3-6 sigma of `noise` `[d]`, each up or down. straggler: the half
    of the metrics that stands for work done falls to 0.6-0.85. stuck: two to four metrics, or as often all,
    stay what they are. hang: work done stands still, which is a rate of 0, while one other metric (work that
    waits) rises to two to four times its level.
    """
    ill = rows.copy()
    width = rows.shape[1]
    some = chance.permutation(width)[: chance.integers(2, 5)]
    if kind in ("step", "ramp"):
        size = chance.uniform(*SIGMAS, len(some)) * chance.choice([-1.0, 1.0], len(some)) * noise[some]
        rise = 1 if kind == "step" else int(chance.integers(*RISE))
        ill[1:, some] += np.minimum(np.arange(1, len(rows)) / rise, 1.0)[:, None] * size
    elif kind == "stuck":
        if chance.random() < 0.5:
            some = np.arange(width)
        ill[1:, some] = ill[0, some]
    elif kind == "straggler":
        ill[1:, _work(width)] *= chance.uniform(*SHARE)
    else:
        ill[1:, _work(width)] = 0.0
        ill[1:, -1] *= chance.uniform(2.0, 4.0)
    return ill


def _work(width: int) -> Ints:
    """The metrics that stand for work done; they were drawn at random, so any half does."""
    return np.arange(width // 2)
