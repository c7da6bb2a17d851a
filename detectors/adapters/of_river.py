"""The adapter for river: a model for each series, which scores a sample and then learns from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.adapters import library
from detectors.adapters.custom import Custom, Scales, Watched
from detectors.adapters.features import Features
from detectors.adapters.library import Way
from detectors.adapters.pickled import dumped, loaded
from detectors.adapters.places import Places
from detectors.adapters.settings import CustomSettings
from detectors.adapters.trial import ask
from detectors.contract import Columns, Results, State, StreamDetector, nothing
from telemetry.bits import Floats, Ints
from telemetry.window import IdRemap, Window

_NEARLY_1 = 1.0 - 1e-9
_KEPT = 256
"""Rows of a series since its model was last made bytes: a snapshot is those bytes, and these rows again."""
_FIRST = 64
"""So many when the bytes are those of a model that knows nothing."""


class River(Custom):
    """Any detector of river, one model a series or entity.

    `river.anomaly`: `score_one` of its features on scales from 0 to 1, then `learn_one`; those
    that judge a value given nothing else get the newest. Their scores are calibrated (`tail.Tail`).
    `river.drift`: `update` with the newest value on that scale; the score is 2 at a drift, else 0.

    Making bytes of half-space trees takes 10 ms, too long to do for all series at each snapshot; so each
    model is made bytes once in 256 samples, and a restart learns the samples since then anew.

    When it fails: as the river detector does; besides, a level that moves away slowly is at the edge of the
    scale, where steps are hardly seen; a detector that knows nothing yet (half-space trees until their first
    window is full) is silent; a tail of scores that is heavier than exponential gives more false alarms than
    the budget.
    """

    fails = (
        "Where the river detector fails, and where its scores have a heavier tail than exponential: then "
        "there are more false alarms than the budget."
    )

    def __init__(self, settings: CustomSettings, watched: Watched, scales: Scales) -> None:
        super().__init__(settings, watched, scales)
        self._way = library.way_of(settings.use)
        self._bounded = library.bounded(settings.use)
        self._models: list[Any] = [None] * settings.max_series
        self._bytes: list[bytes] = [b""] * settings.max_series  # of the model, `_rows` ago
        self._rows = np.empty((settings.max_series, _KEPT, settings.width))
        self._many: Ints = np.zeros(settings.max_series, np.int64)  # how many of them count
        self._limit: Ints = np.full(settings.max_series, _FIRST, np.int64)  # at most
        dumped(self.built())  # what cannot be kept is said at the start, and all is imported

    def raw(self, at: int, places: Ints, features: Floats) -> Floats:
        """What each model says of its row, before it learns from it."""
        return np.array([self._ask(*row) for row in zip(places.tolist(), features, strict=True)], np.float64)

    def calibrated(self, places: Ints, times: Ints, raw: Floats) -> Floats:
        """As all others; a drift is one, however rare."""
        return raw if self._way is Way.DRIFT else super().calibrated(places, times, raw)

    def anew(self, places: Ints) -> None:
        """These are learned anew, models and all."""
        super().anew(places)
        for place in places.tolist():
            self._models[place], self._bytes[place], self._many[place] = None, b"", 0

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps."""
        lengths = np.array([len(data) for data in self._bytes], np.int64)
        rows = [self._rows[place, :many] for place, many in enumerate(self._many.tolist())]
        return {
            **super().snapshot(size),
            "lengths": lengths,
            "models": np.frombuffer(b"".join(self._bytes), np.uint8),
            "many": self._many.copy(),
            "limit": self._limit.copy(),
            "rows": np.concatenate(rows),
        }

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        most = self.settings.max_series
        lengths, many = np.asarray(state["lengths"], np.int64), np.asarray(state["many"], np.int64)
        data, rows = np.asarray(state["models"], np.uint8).tobytes(), np.asarray(state["rows"], np.float64)
        limit = np.array(state["limit"], np.int64)
        sound = len(lengths) == len(many) == len(limit) == most and lengths.sum() == len(data)
        if not sound or rows.shape != (many.sum(), self.settings.width) or (many > _KEPT).any():
            raise ValueError("the models do not fit")
        ends = np.cumsum(lengths)
        parts = [
            data[end - length : end] for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
        ]
        models = [loaded(part) if part else None for part in parts]
        super().restore(state, size)
        self._models, self._bytes, self._many = models, parts, np.zeros(most, np.int64)
        self._limit = limit
        start = 0
        for place, number in enumerate(many.tolist()):
            for row in rows[start : start + number]:
                self._ask(place, row)
            start += number

    @property
    def bytes(self) -> int:
        """Memory of what it keeps, the models as large as their bytes."""
        models = 2 * sum(len(data) for data in self._bytes)
        return super().bytes + models + self._rows.nbytes + self._many.nbytes

    def _ask(self, place: int, row: Floats) -> float:
        """The raw score of a row; then the model has learned from it. NaN where the library fails."""
        model = self._models[place]
        try:
            if model is None or self._many[place] >= self._limit[place]:
                model = self._keep(place, model)
            self._rows[place, self._many[place]] = row
            self._many[place] += 1
            raw = ask(self._way, model, row)
            # A score that ends at 1 has no tail; -log(1 - score) has, and of a probability it is the rarity.
            return -math.log1p(-min(raw, _NEARLY_1)) if self._bounded else raw
        # The library's own errors are its own; one series that it fails at must not stop the others.
        except Exception as error:
            self.failed("fails at a sample", error)
            return math.nan

    def _keep(self, place: int, model: Any) -> Any:
        """Make the model bytes, and forget the rows that led to it."""
        self._limit[place] = _FIRST if model is None else _KEPT
        if model is None:
            model = self.built()
        self._models[place] = model
        self._bytes[place] = dumped(model)
        self._many[place] = 0
        return model


class RiverDetector(River, StreamDetector):
    """River asked about each sample, given the last `lags` values of its series.

    When it fails: as River does.
    """

    def __init__(self, settings: CustomSettings) -> None:
        self.places = Places(settings.metrics, settings.max_series)
        self.features = Features(settings.max_series, settings.lags, settings.warm_up // 2)
        super().__init__(settings, self.places, self.features)

    def notice(self, window: Window, known: int) -> None:
        """Give the series from id `known` on a place, as long as there are some."""
        self.places.notice(window, known)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        self.free(self.places.remap(remap))

    def reserve(self, size: int) -> None:
        """Nothing: the number of places is fixed."""

    def step(self, columns: Columns) -> Results:
        """Score the samples, then learn from them."""
        places = self.places.find(columns.ids)
        watched = places >= 0
        if not watched.any():
            return nothing(1)
        if len(columns.restarted):
            self.restart(places[columns.restarted & watched])
        places, times = places[watched], columns.times[watched]
        features = self.features.step(places, columns.values[watched])
        return self.judged(int(times.max()), places, columns.ids[watched], times, features)
