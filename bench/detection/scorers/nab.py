"""NAB's official score: an alarm early in a window earns, a false one costs, a missed window costs.

Own code after Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms - the Numenta Anomaly
Benchmark" (2015), and the behaviour of NAB 1.1: the first rows are not scored; inside a window a row earns
the scaled sigmoid of its place, of which the best counts; outside, each row costs, less just after a window.
The sum is put on a scale where no alarm at all is 0 and an alarm on the first row of each window is 100.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from bench.detection.labelled.series import Series
from telemetry.bits import Flags, Floats


@dataclass(frozen=True)
class Profile:
    """What a found window earns, and a false alarm and a missed window cost (NAB's config/profiles.json)."""

    name: str
    found: float
    false: float
    missed: float


STANDARD = Profile("standard", 1.0, 0.11, 1.0)
LOW_FP = Profile("low_fp", 1.0, 0.22, 1.0)
LOW_FN = Profile("low_fn", 1.0, 0.11, 2.0)
PROFILES = (STANDARD, LOW_FP, LOW_FN)

_PROBATION = 0.15
_PROBATION_ROWS = 750
_FAR = 3.0  # window lengths behind a window from which on a false alarm costs all


@dataclass(frozen=True)
class Judged:
    """One series with its scores `[n]`, of which NaN is never an alarm."""

    series: Series
    scores: Floats


def probation(rows: int) -> int:
    """How many rows at the start are not scored: 15 %, at most 750.

    >>> probation(4032), probation(20_000)
    (604, 750)
    """
    return int(min(_PROBATION * rows, _PROBATION_ROWS))


def sigmoid(place: Floats) -> Floats:
    """NAB's scaled sigmoid: 0.98661 at the left edge of a window (-1), 0 at its right edge, -1 far behind.

    >>> sigmoid(np.array([-1.0, 0.0, 1.0, 3.0])).round(5).tolist()
    [0.98661, 0.0, -0.98661, -1.0]
    """
    return np.where(place >= _FAR, -1.0, 2.0 / (1.0 + np.exp(5.0 * np.minimum(place, _FAR))) - 1.0)


def places(series: Series) -> Floats:
    """Where each row lies: -1 to 0 inside a window, from 0 on behind one in its length, `[n]`."""
    rows = np.arange(len(series.times))
    place = np.full(len(rows), _FAR)
    for first, last in series.events:
        width = last - first + 1
        place[last + 1 :] = (rows[last + 1 :] - last) / max(width - 1, 1)
    for first, last in series.events:
        place[first : last + 1] = -(last - rows[first : last + 1] + 1) / (last - first + 1)
    return place


def scored_windows(series: Series) -> list[tuple[int, int]]:
    """The windows that have a row behind the probation."""
    return [event for event in series.events if event[1] >= probation(len(series.times))]


def _steps(judged: Judged, profile: Profile) -> tuple[Floats, Floats]:
    """At which score each row would become an alarm and what the raw score then gains."""
    series, start = judged.series, probation(len(judged.series.times))
    worth = sigmoid(places(series))
    gain = worth * profile.false
    known = ~np.isnan(judged.scores)
    known[:start] = False
    gain[series.labels] = 0.0
    for first, last in scored_windows(series):
        inside = np.arange(max(first, start), last + 1)
        inside = inside[known[inside]]
        inside = inside[np.argsort(-judged.scores[inside], kind="stable")]
        best = np.maximum.accumulate(worth[inside] * profile.found / sigmoid(np.array([-1.0]))[0])
        gain[inside] = np.diff(np.maximum(best, -profile.missed), prepend=-profile.missed)
    return judged.scores[known], gain[known]


def _scaled(raw: Floats, windows: int, profile: Profile) -> Floats:
    nothing = -profile.missed * windows
    return 100.0 * (raw - nothing) / (profile.found * windows - nothing)


def score(judged: Iterable[Judged], profile: Profile, threshold: float) -> float:
    """The score where each row above the threshold is an alarm; NaN where there is no window."""
    judged = list(judged)
    windows = sum(len(scored_windows(one.series)) for one in judged)
    if not windows:
        return float("nan")
    raw = -profile.missed * windows
    for one in judged:
        scores, gain = _steps(one, profile)
        raw += float(gain[scores > threshold].sum())
    return float(_scaled(np.array([raw]), windows, profile)[0])


def optimised(judged: Iterable[Judged], profile: Profile) -> tuple[float, float]:
    """The best score that one threshold over all series gives, as NAB publishes it, and that threshold.

    It is picked on the data that it is judged on: for a comparison with NAB's board, never a promise.
    """
    judged = list(judged)
    windows = sum(len(scored_windows(one.series)) for one in judged)
    if not windows:
        return float("nan"), float("inf")
    pairs = [_steps(one, profile) for one in judged]
    scores, gain = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    order = np.argsort(-scores, kind="stable")
    scores, raw = scores[order], -profile.missed * windows + np.cumsum(gain[order])
    last = _last_of_ties(scores)
    scores, raw = scores[last], raw[last]
    if not len(raw) or raw.max() <= -profile.missed * windows:
        return 0.0, float("inf")
    best = int(np.argmax(raw))
    return float(_scaled(raw[best : best + 1], windows, profile)[0]), float(
        np.nextafter(scores[best], -np.inf)
    )


def _last_of_ties(descending: Floats) -> Flags:
    return np.concatenate([descending[1:] != descending[:-1], [True]])[: len(descending)]


def false_alarms(judged: Judged, threshold: float) -> int:
    """Rows above the threshold behind the probation and outside every window."""
    start = probation(len(judged.scores))
    return int((judged.scores[start:] > threshold)[~judged.series.labels[start:]].sum())


def hits(judged: Judged, threshold: float) -> int:
    """Windows with an alarm behind the probation."""
    start = probation(len(judged.scores))
    return sum(
        bool((judged.scores[max(first, start) : last + 1] > threshold).any())
        for first, last in scored_windows(judged.series)
    )
