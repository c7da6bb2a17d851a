"""Features on scales from 0 to 1 that fit: the last values of a series, or a row of an entity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.arrays import ByPlace
from detectors.contract import State
from telemetry.bits import Floats, Ints

_SLOW = 0.001  # a new value's weight in level and spread once they are known
_CLIP = 4.0  # an update moves them as if the value were at most this many spreads away
_WIDE = 4.0  # spreads to three quarters of the scale: there is room for what is far off
_USUAL = 0.5
_LEAST = 1e-9
_MOST = 1e150  # beyond that, squares overflow


class Features(ByPlace):
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


class RowFeatures:
    """Rows of `width` values by place, each value on a scale of its own; one that is missing is as usual.

    >>> rows = RowFeatures(places=1, width=2, warm_up=3, least=1)
    >>> for value in (1.0, 2.0, 1.0, 1.5):
    ...     features = rows.step(np.array([0]), np.array([[value, np.nan]]))
    >>> features.round(2)
    array([[0.53, 0.5 ]])
    """

    def __init__(self, places: int, width: int, warm_up: int, least: int) -> None:
        """A row of which fewer than `least` values are known is none."""
        self._each = Features(places * width, 1, warm_up)
        self._columns = np.arange(width)
        self._least = least

    def step(self, places: Ints, rows: Floats) -> Floats:
        """The features `[n, width]` of a row each of distinct places; NaN until enough is known."""
        cells, there = self._cells(places), np.isfinite(rows)
        features = np.full(rows.shape, np.nan)
        features[there] = self._each.step(cells[there], rows[there])[:, 0]
        known = ~np.isnan(features)
        enough = known.sum(axis=1) >= self._least
        features[~known] = _USUAL
        features[~enough] = np.nan
        return features

    def forget(self, places: Ints) -> None:
        """These places are free."""
        self._each.forget(self._cells(places).ravel())

    def snapshot(self) -> State:
        """All of it, as copies."""
        return self._each.snapshot()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        self._each.restore(state)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return self._each.bytes

    def _cells(self, places: Ints) -> Ints:
        cells: Ints = places[:, None] * len(self._columns) + self._columns
        return cells
