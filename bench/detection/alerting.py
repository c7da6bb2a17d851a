"""What would alert: the shipped anomaly rules, as one function of the scores of one entity.

As EngineAnomalous, GpuAnomalous, NodeAnomalous, EngineStraggler and GpuStraggler have it: an entity alerts
where its change score is above 1, or one of its series deviates from its peers beyond 1 or below -1. A single
series alerts nobody, and a state score never: it says how ill the entity is, and stays up for days after a
lasting shift. They are shown.

Several series of an entity together are measured beside that; no rule reads them, for of thousands of GPUs
their scores would be ten times the series of the GPUs themselves.
"""

from __future__ import annotations

import numpy as np

from model.moment import MINUTE
from telemetry.bits import Flags, Floats

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
        series: the higher one of `level` and `cusum` of each of its series, `[n, d]`: a third of them, and at
            least three, within five minutes. Not in the shipped rules.

    >>> alerting(5_000, change=np.array([0.2, 1.1, np.nan])).tolist()
    [False, True, False]
    """
    found = [part for part in (change, deviations, series) if part is not None]
    alert = np.zeros(len(found[0]), bool)
    if deviations is not None:
        alert |= (np.abs(deviations) > 1.0).any(axis=1)
    if change is not None:
        alert |= change > 1.0
    if series is not None:
        alert |= several(series, interval, max(SEVERAL, int(np.ceil(SHARE * series.shape[1])))) > 1.0
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
