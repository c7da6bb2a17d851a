"""VUS-PR: the volume under the precision-recall surface over label slopes of 0 to `window` rows.

Own code after Paparrizos et al., "Volume Under the Surface" (VLDB 2022), and the behaviour of the reference
(`RangeAUC_volume_opt` of TSB-AD): round each event the label falls as sqrt(1 - distance / w) over w/2 rows,
recall is scaled by the share of events that are seen at all, and the areas of all w are averaged. A random
score gets about the share of anomalous rows, a perfect one 1 at w = 0.
"""

from __future__ import annotations

import numpy as np

from bench.detection.labelled.series import stretches
from telemetry.bits import Flags, Floats, Ints

WINDOW = 100
THRESHOLDS = 250
"""As many as the reference looks at, evenly spaced over the sorted scores."""


def vus_pr(labels: Flags, scores: Floats, window: int = WINDOW, thresholds: int | None = THRESHOLDS) -> float:
    """The mean area over slopes of 0 to `window` rows; NaN where no row is labelled.

    Args:
        labels: anomalous rows, `[n]`.
        scores: higher is more anomalous, `[n]`; NaN counts as the lowest.
        window: the longest slope in rows.
        thresholds: how many are looked at; None looks at each distinct score.
    """
    events = stretches(labels)
    if not events:
        return float("nan")
    scores = np.where(np.isnan(scores), -np.inf, scores)
    order = np.argsort(-scores, kind="stable")
    ends = _ends(scores[order], thresholds)
    areas = [_area(labels, events, scores, order, ends, slope) for slope in range(window + 1)]
    return float(np.mean(areas))


def _ends(descending: Floats, thresholds: int | None) -> Ints:
    """How many rows are at or above each threshold, rising."""
    rows = len(descending)
    if thresholds is None:
        return np.append(np.flatnonzero(descending[1:] != descending[:-1]), rows - 1) + 1
    at = descending[np.linspace(0, rows - 1, thresholds).astype(np.int64)]
    return np.searchsorted(-descending, -at, side="right").astype(np.int64)


def sloped(labels: Flags, events: tuple[tuple[int, int], ...], slope: int) -> Floats:
    """The labels with their slopes, `[n]`, at most 1.

    >>> sloped(np.array([False, False, True, False, False]), ((2, 2),), 2).round(3).tolist()
    [0.0, 0.707, 1.0, 0.707, 0.0]
    """
    reach = slope // 2
    label = labels.astype(np.float64)
    fall = np.sqrt(1.0 - np.arange(1, reach + 1) / slope) if reach else np.empty(0)
    for first, last in events:
        after = min(reach, len(label) - 1 - last)
        label[last + 1 : last + 1 + after] += fall[:after]
        before = min(reach, first)
        label[first - before : first] += fall[:before][::-1]
    return np.minimum(label, 1.0)


def _area(
    labels: Flags,
    events: tuple[tuple[int, int], ...],
    scores: Floats,
    order: Ints,
    ends: Ints,
    slope: int,
) -> float:
    label = sloped(labels, events, slope)
    true = np.cumsum(label[order])[ends - 1]
    outside = np.cumsum(np.where(labels, 0.0, label)[order])[ends - 1]
    positives = labels.sum()
    seen = _seen(events, scores, slope)
    thresholds = scores[order][ends - 1]
    share = np.searchsorted(-seen, -thresholds, side="right") / len(seen)
    recall = np.minimum(true / (positives + outside / 2.0), 1.0) * share
    return float(np.diff(recall, prepend=0.0) @ (true / ends))


def _seen(events: tuple[tuple[int, int], ...], scores: Floats, slope: int) -> Floats:
    """The highest score of each event with its slopes, falling; events whose slopes meet are one."""
    reach = slope // 2
    joined: list[list[int]] = []
    for first, last in events:
        begin, end = max(first - reach, 0), min(last + reach, len(scores) - 1)
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    return np.sort([scores[begin : end + 1].max() for begin, end in joined])[::-1]
