"""The level detector: how far is a value from where its series has been lately.

Every sample is first scored by what was known before it, then learned from. There is no look-ahead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import copied, grown, remapped, taken_over
from detectors.contract import EXPECTED_HIGH, EXPECTED_LOW, SCORE, Columns, Results, State, StreamDetector
from detectors.settings import LevelSettings
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap

_LEAST = 1e-9  # the scale of a series that has always been 0


class Scores(NamedTuple):
    """By sample: the score (> 1 is anomalous) and the expected band; NaN in warm-up."""

    score: Floats
    low: Floats
    high: Floats


class LevelDetector(StreamDetector):
    """Exponentially weighted level and robust scale, for all series at once: flat arrays by dense id.

    With x the value, m the level, s the scale, both as they were before x:

        e = x - m            s' = max(s, floor * |m|)
        low, high = m -/+ band * s'
        score = |e| / (band * s'), at most `most`
        m += level_weight * clip(e, band * s')
        s += scale_weight * (min(|e|, clip * s') - s)

    The clipping keeps an anomaly from poisoning level and scale: a spike moves the level by no more than the
    edge of the band would, a lasting shift is learned as the scale widens, two per cent a sample. The weights
    start as those of a plain mean, and during warm-up nothing is clipped.

    When it fails: a slow drift is learned as normal; a daily rhythm that is fast against the time constant
    (50 samples) is scored at every edge; a shift that lasts stops being anomalous (after some 20 samples for
    ten standard deviations of noise, some 200 for five hundred); a series that jumps between two values has a
    scale as wide as the jump, so nothing between them is seen; a value that stays at 0 for ever has no scale,
    so its first move scores `most`; of noise with heavy tails (Student's t, 3 degrees of freedom) nearly one
    sample in a hundred scores above 1, of normal noise some five in a million.

    Source: the recipe is that of Roberts, "Control chart tests based on geometric moving averages" (1959),
    with the mean absolute deviation as scale and Winsorised updates (Huber).

    >>> detector = LevelDetector(LevelSettings(warm_up=4))
    >>> ids = np.array([0])
    >>> for value in (10.0, 12.0, 10.0, 12.0, 11.0, 30.0):
    ...     score, low, high = detector.score(ids, np.array([value]))
    ...     print(value, score.round(4), low.round(4), high.round(4))
    10.0 [nan] [nan] [nan]
    12.0 [nan] [nan] [nan]
    10.0 [nan] [nan] [nan]
    12.0 [nan] [nan] [nan]
    11.0 [0.] [2.3333] [19.6667]
    30.0 [2.9231] [4.5] [17.5]
    """

    name = "level"
    version = 1
    fails = "A slow drift is learned as normal, and a shift that lasts stops being anomalous."
    results = (SCORE, EXPECTED_LOW, EXPECTED_HIGH)
    ARRAYS = ("count", "level", "scale")

    def __init__(self, settings: LevelSettings | None = None) -> None:
        self.settings = settings or LevelSettings()
        self.count: Ints = np.empty(0, np.int64)  # samples learned from
        self.level: Floats = np.empty(0)
        self.scale: Floats = np.empty(0)

    def reserve(self, size: int) -> None:
        """Make room for the ids below `size`."""
        for name in self.ARRAYS:
            setattr(self, name, grown(getattr(self, name), size, 0.0))

    def step(self, columns: Columns) -> Results:
        """Score the samples, then learn from them."""
        scores = self.score(columns.ids, columns.values)
        return Results(columns.times, columns.ids, np.stack(scores, axis=1))

    def score(self, ids: Ints, values: Floats) -> Scores:
        """Score the values of distinct series, then learn from them; finite values only, `[n]` each."""
        if len(ids):
            self.reserve(int(ids.max()) + 1)
        settings = self.settings
        count, level, scale = self.count[ids], self.level[ids], self.scale[ids]
        residual = values - level
        size = np.abs(residual)
        wide = np.maximum(np.maximum(scale, settings.floor * np.abs(level)), _LEAST)
        warming = count < settings.warm_up
        scores = self._scores(warming, level, size, settings.band * wide)
        wide[warming | (wide <= _LEAST)] = np.inf  # nothing is clipped by a scale that is not known yet
        level_weight, scale_weight = self._weights(count)
        edge = settings.band * wide
        self.level[ids] = level + level_weight * np.clip(residual, -edge, edge)
        self.scale[ids] = scale + scale_weight * (np.minimum(size, settings.clip * wide) - scale)
        self.count[ids] = count + 1
        return scores

    def _scores(self, warming: Flags, level: Floats, size: Floats, band: Floats) -> Scores:
        score = np.minimum(size / band, self.settings.max_score)
        low, high = level - band, level + band
        if warming.any():
            score[warming] = low[warming] = high[warming] = np.nan
        return Scores(score, low, high)

    def _weights(self, count: Ints) -> tuple[Floats | float, Floats | float]:
        """Of level and scale: those of a plain mean as long as these are larger."""
        for_level, for_scale = self.settings.level_weight, self.settings.scale_weight
        if len(count) and int(count.min()) * min(for_level, for_scale) > 1:
            return for_level, for_scale
        before = np.maximum(count, 1)
        # The first sample has no residual, so there is one less of these.
        scale_weight = np.where(count, np.maximum(for_scale, 1.0 / before), 0.0)
        return np.maximum(for_level, 1.0 / (count + 1)), scale_weight

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        for name in self.ARRAYS:
            setattr(self, name, remapped(getattr(self, name), remap.new_ids, remap.size, 0.0))

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps, of the series below id `size`."""
        return copied(self, self.ARRAYS, size)

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        taken_over(self, self.ARRAYS, state, size)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return sum(int(getattr(self, name).nbytes) for name in self.ARRAYS)
