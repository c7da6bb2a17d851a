"""What would alert: the shipped anomaly rules, as one function of the scores of one entity.

An entity alerts where its state or change score is above 1, where one of its series deviates from its peers
beyond 1 or below -1, or where at least three of its series had a score above 1 in the last minute. A single
series with a score above 1 alerts nobody: it is shown.
"""

from __future__ import annotations

import numpy as np

from model.moment import MINUTE
from telemetry.bits import Flags, Floats

SEVERAL = 3
TOGETHER = MINUTE


def alerting(
    interval: int,
    entity: Floats | None = None,
    deviations: Floats | None = None,
    series: Floats | None = None,
) -> Flags:
    """The rows in which the entity alerts, `[n]`; NaN never does.

    Args:
        interval: ms between rows.
        entity: its state and change scores, `[n, scores]`.
        deviations: of its series from their peers, `[n, d]`.
        series: scores of its series, `[n, d]`.

    >>> alerting(5_000, entity=np.array([[0.2, 1.1], [0.9, np.nan]])).tolist()
    [True, False]
    """
    found = [part for part in (entity, deviations, series) if part is not None]
    alert = np.zeros(len(found[0]), bool)
    if entity is not None:
        alert |= (entity > 1.0).any(axis=1)
    if deviations is not None:
        alert |= (np.abs(deviations) > 1.0).any(axis=1)
    if series is not None:
        alert |= several(series, interval) > 1.0
    return alert


def several(series: Floats, interval: int) -> Floats:
    """The third highest score of the series, each the highest of its last minute, `[n]`; 0 for too few.

    >>> several(np.array([[2, 0, 0], [0, 3, 1.5], [0, 0, 0]]), 30_000).tolist()
    [0.0, 1.5, 0.0]
    """
    if series.shape[1] < SEVERAL:
        return np.zeros(len(series))
    known = np.nan_to_num(series)
    recent = known.copy()
    for back in range(1, min(max(TOGETHER // interval, 1), len(known))):
        recent[back:] = np.maximum(recent[back:], known[:-back])
    return np.partition(recent, -SEVERAL, axis=1)[:, -SEVERAL]
