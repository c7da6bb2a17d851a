"""What the adapters have in common: whom they watch, features, the tail of their scores, one version."""

from __future__ import annotations

import json
import logging
import zlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors.adapters import library
from detectors.adapters.settings import KIND, CustomSettings
from detectors.adapters.tail import Tail
from detectors.contract import SCORE, Detector, Results, State
from model.metric import Metric, Sample
from telemetry.bits import Flags, Floats, Ints

_OWN = 3
"""Version of the adapters: of what they keep, and of how features and scores are made."""
METRICS = (
    Metric(
        "fleetowl_detector_left_out_series",
        "gauge",
        "Series or entities that a detector of another library would watch, had it not as many as it may.",
        ("detector",),
    ),
    Metric(
        "fleetowl_detector_failures_total",
        "counter",
        "Samples or fits that a detector of another library failed at.",
        ("detector",),
    ),
)
log = logging.getLogger("fleetowl.detectors")


class Watched(Protocol):
    """Who has a place: series, or entities."""

    ids: Ints
    """By place; negative where it is free."""

    @property
    def left_out(self) -> int:
        """How many have none, for there are no more."""

    def group(self, place: int) -> str:
        """Whose rows resemble one another: the metric, or the kind of entity."""

    def restore(self, ids: Ints, size: int) -> None:
        """Take over who had a place. Raises ValueError where it does not fit."""


class Scales(Protocol):
    """What makes features of values."""

    def forget(self, places: Ints) -> None:
        """These places are free."""

    def snapshot(self) -> State:
        """All of it, as copies."""

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""


class Custom(Detector):
    """A detector of another library as Fleetowl sees it.

    River and Pyod, which ask the library, are below it, and once more below them is what gives them rows: the
    samples of series, or entities.
    """

    results = (SCORE,)

    def __init__(self, settings: CustomSettings, watched: Watched, scales: Scales) -> None:
        self.settings = settings
        self.name = settings.name
        self.version = _version(settings)
        self.who = watched
        self.scales = scales
        half = settings.warm_up // 2
        self.tail = Tail(settings.max_series, settings.warm_up - half, settings.budget, settings.max_score)
        self.high: Flags = np.zeros(settings.max_series, np.bool_)  # whether the last score was above 1
        self.waits: Ints = np.zeros(settings.max_series, np.int64)  # samples until a restart counts
        self.failures = 0
        self._said = ""

    @abstractmethod
    def raw(self, at: int, places: Ints, features: Floats) -> Floats:
        """What the library says of a row each, `[n]`; NaN where nothing. Then it learns from them.

        `at` (ms) is the time of all of them, or of the newest.
        """

    def judged(self, at: int, places: Ints, subjects: Ints, times: Ints, features: Floats) -> Results:
        """Scores of a row of features each of distinct places, then learn; a row with NaN is none yet."""
        known = ~np.isnan(features).any(axis=1)
        places, times, features = places[known], times[known], features[known]
        scores = self.calibrated(places, times, self.raw(at, places, features))
        self.scored(places, scores)
        return Results(times, subjects[known], scores.reshape(-1, 1))

    def calibrated(self, places: Ints, times: Ints, raw: Floats) -> Floats:
        """Scores of which 1 is as rare as the budget says."""
        scores = np.full(len(raw), np.nan)
        there = np.isfinite(raw)
        scores[there] = self.tail.step(places[there], times[there], raw[there])
        return scores

    def free(self, places: Ints) -> None:
        """These places are free."""
        self.anew(places)
        self.high[places], self.waits[places] = False, 0

    def anew(self, places: Ints) -> None:
        """These are learned anew."""
        self.scales.forget(places)
        self.tail.forget(places)

    def restart(self, places: Ints) -> None:
        """These are learned anew, for what they are about was restarted; those with an alarm on after it.

        A second model beside the first would cost as much: so the alarm has the time of a warm-up to end.
        """
        on = self.high[places]
        self.anew(places[~on])
        self.waits[places] = np.where(on, self.settings.warm_up, 0)

    def scored(self, places: Ints, scores: Floats) -> None:
        """Newest scores of distinct places."""
        self.high[places] = scores > 1
        waiting = places[self.waits[places] > 0]
        if len(waiting):
            self.waits[waiting] -= 1
            over = waiting[~self.high[waiting] | (self.waits[waiting] == 0)]
            self.waits[over] = 0
            self.anew(over)

    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps."""
        return {
            "ids": self.who.ids.copy(),
            "high": self.high.copy(),
            "waits": self.waits.copy(),
            **{f"features_{name}": array for name, array in self.scales.snapshot().items()},
            **{f"tail_{name}": array for name, array in self.tail.snapshot().items()},
        }

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        features, tail = self.scales.snapshot(), self.tail.snapshot()
        high, waits = np.array(state["high"], np.bool_), np.array(state["waits"], np.int64)
        if len(high) != len(self.high) or len(waits) != len(self.waits):
            raise ValueError("what waits for a restart does not fit")
        try:
            self.scales.restore(_part("features_", state))
            self.tail.restore(_part("tail_", state))
            self.who.restore(np.asarray(state["ids"], np.int64), size)
        except (KeyError, ValueError):
            self.scales.restore(features)
            self.tail.restore(tail)
            raise
        self.high, self.waits = high, waits

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        label = {"detector": self.name}
        yield Sample("fleetowl_detector_left_out_series", label, self.who.left_out)
        yield Sample("fleetowl_detector_failures_total", label, self.failures)

    def failed(self, what: str, error: Exception) -> None:
        """Count what the library raised, and say it where it is not what was said last."""
        self.failures += 1
        said = f"{what}: {type(error).__name__}: {error}"
        if said != self._said:
            log.warning("the detector %s (%s) %s", self.name, self.settings.use, said)
        self._said = said

    def built(self) -> Any:
        """A new object of the library."""
        return library.built(self.settings.use, self.settings.arguments, self.settings.seed)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return self.scales.bytes + self.tail.bytes


def _version(settings: CustomSettings) -> int:
    """Another library, argument or adapter is another version: its state is not taken over."""
    parts = [
        _OWN,
        settings.use,
        library.version_of(settings.use),
        settings.arguments,
        settings.width,
        settings.entity and KIND[settings.entity].names,
        settings.warm_up,
        settings.max_series,
        settings.sample,
        settings.seed,
    ]
    return zlib.crc32(json.dumps(parts, sort_keys=True, default=str).encode()) | 1


def _part(prefix: str, state: Mapping[str, NDArray[Any]]) -> State:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
