"""What would alert: the shipped anomaly rules, as one function of the scores of one entity.

As EngineAnomalous, EngineStraggler and GpuStraggler have it. GpuAnomalous and NodeAnomalous do without what
asks for series: of thousands of GPUs their scores would be ten times the series of the GPUs themselves.

An entity alerts where

- one of its series deviates from its peers beyond 1 or below -1, or
- its change score is above 3, or
- its change score is above 1 and at least three of its series have a score above 1, or
- a third of its series, and at least three, have a score above 1,

all within five minutes. The score of a series is the higher one of `level` and `cusum`. A single series or a
change score just above 1 alerts nobody, and a state score never: it says how ill the entity is, and stays
up for days after a lasting shift. They are shown.

Why so (alerts an entity-day on the machines' quiet halves, SMD and ASD, and precision on their labelled
events): state > 1 gives 0.82 and 0.87; change > 1 1.03 and 0.37 (0.59, 0.64); change > 3 0.06 and 0.00 (0.92,
1.00); three series 0.15 and 0.14; both of these together 0.06 and 0.04 (0.88, 1.00); a third of all series
0.03 and 0.08 (no alert, 0.92). All four ways: 0.09 and 0.09, where the aim is 0.02. One seed, and the limits
were chosen on these same machines: no half of them was held out.
"""

from __future__ import annotations

import numpy as np

from model.moment import MINUTE
from telemetry.bits import Flags, Floats

ALONE = 3.0
"""The change score that needs no series to agree."""
SEVERAL = 3
SHARE = 1 / 3
TOGETHER = 5 * MINUTE


def alerting(
    interval: int,
    change: Floats | None = None,
    deviations: Floats | None = None,
    series: Floats | None = None,
) -> Flags:
    """The rows in which the entity alerts, `[n]`; NaN never does.

    Args:
        interval: ms between rows.
        change: its change score, `[n]`.
        deviations: of its series from their peers, `[n, d]`.
        series: the higher one of `level` and `cusum` of each of its series, `[n, d]`.

    >>> alerting(5_000, change=np.array([0.2, 1.1, 3.1, np.nan])).tolist()
    [False, False, True, False]
    """
    found = [part for part in (change, deviations, series) if part is not None]
    alert = np.zeros(len(found[0]), bool)
    if deviations is not None:
        alert |= (np.abs(deviations) > 1.0).any(axis=1)
    if change is not None:
        alert |= change > ALONE
    if series is not None:
        alert |= several(series, interval, max(SEVERAL, int(np.ceil(SHARE * series.shape[1])))) > 1.0
    if change is not None and series is not None:
        alert |= (_recent(change, interval) > 1.0) & (several(series, interval) > 1.0)
    return alert


def several(series: Floats, interval: int, count: int = SEVERAL) -> Floats:
    """The score that `count` of the series reach, each at its highest of five minutes, `[n]`; 0: too few.

    >>> several(np.array([[2, 0, 0], [0, 3, 1.5], [0, 0, 0]]), 150_000).tolist()
    [0.0, 1.5, 0.0]
    """
    if series.shape[1] < count:
        return np.zeros(len(series))
    return np.partition(_recent(series, interval), -count, axis=1)[:, -count]


def _recent(scores: Floats, interval: int) -> Floats:
    """The highest of the last five minutes, along the first axis."""
    known = np.nan_to_num(scores)
    recent = known.copy()
    for back in range(1, min(max(TOGETHER // interval, 1), len(known))):
        recent[back:] = np.maximum(recent[back:], known[:-back])
    return recent
