"""Features of a sample: the last values of its series, each on a scale from 0 to 1 that fits the series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import copied, taken_over
from detectors.contract import State
from telemetry.bits import Floats, Ints

_SLOW = 0.001  # a new value's weight in level and spread once they are known
_CLIP = 4.0  # an update moves them as if the value were at most this many spreads away
_WIDE = 4.0  # spreads to three quarters of the scale: there is room for what is far off
_LEAST = 1e-9
_MOST = 1e150  # beyond that, squares overflow


class Features:
    """Level and spread (mean absolute residual) of each series, and its last `lags` values, by place.

    A value x becomes u = (1 + z / (1 + |z|)) / 2 with z = (x - level) / (4 * spread): half-space trees and
    their like want numbers from 0 to 1, and the largest outlier must still be apart from a large one, which
    the running minimum and maximum that river offers do not do: one spike would narrow all that follows.
    """

    ARRAYS = ("count", "level", "spread", "recent")

    def __init__(self, places: int, lags: int, warm_up: int) -> None:
        self.lags = lags
        self.warm_up = warm_up
        self.count: Ints = np.zeros(places, np.int64)
        self.level: Floats = np.zeros(places)
        self.spread: Floats = np.zeros(places)
        self.recent: Floats = np.full((places, lags), np.nan)  # oldest first

    def step(self, places: Ints, values: Floats) -> Floats:
        """The features `[n, lags]` of a value each of distinct places; NaN until enough is known."""
        values = np.clip(values, -_MOST, _MOST)
        count, level = self.count[places], self.level[places]
        spread = np.maximum(self.spread[places], np.maximum(_LEAST, _LEAST * np.abs(level)))
        known = count >= self.warm_up
        z = (values - level) / (_WIDE * spread)
        scaled = np.where(known, 0.5 + 0.5 * z / (1 + np.abs(z)), np.nan)
        recent = self.recent[places]
        recent[:, :-1], recent[:, -1] = recent[:, 1:].copy(), scaled
        self.recent[places] = recent
        self._learn(places, values, known, spread)
        return recent

    def _learn(self, places: Ints, values: Floats, known: NDArray[np.bool_], spread: Floats) -> None:
        count, level = self.count[places], self.level[places]
        weight = np.where(known, _SLOW, 1.0 / (count + 1))
        bound = np.where(known, _CLIP * spread, np.inf)
        residual = np.clip(values - level, -bound, bound)
        self.level[places] = level + weight * residual
        # The first value has no residual, so there is one less of these.
        weight = np.where(known, _SLOW, np.where(count > 0, 1.0 / np.maximum(count, 1), 0.0))
        old = self.spread[places]
        self.spread[places] = old + weight * (np.abs(residual) - old)
        self.count[places] = count + 1

    def forget(self, places: Ints) -> None:
        """These places are free."""
        self.count[places] = 0
        self.level[places] = self.spread[places] = 0.0
        self.recent[places] = np.nan

    def snapshot(self) -> State:
        """All of it, as copies."""
        return copied(self, self.ARRAYS, len(self.count))

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        taken_over(self, self.ARRAYS, state, len(self.count))

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return sum(int(getattr(self, name).nbytes) for name in self.ARRAYS)
