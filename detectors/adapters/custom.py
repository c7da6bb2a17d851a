"""What the adapters have in common: which series, their features, the tail of their scores, one version."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.adapters import library
from detectors.adapters.features import Features
from detectors.adapters.places import Places
from detectors.adapters.settings import CustomSettings
from detectors.adapters.tail import Tail
from detectors.contract import SCORE, Detector, State
from model.metric import Metric, Sample
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

_OWN = 2
"""Version of the adapters: of what they keep, and of how features and scores are made."""
METRICS = (
    Metric(
        "fleetowl_detector_left_out_series",
        "gauge",
        "Series that a detector of another library would watch, had it not as many as it may.",
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


class Custom(Detector):
    """A detector of another library as Fleetowl sees it; what asks the library is below it."""

    results = (SCORE,)

    def __init__(self, settings: CustomSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.version = _version(settings)
        self.places = Places(settings.metrics, settings.max_series)
        half = settings.warm_up // 2
        self.features = Features(settings.max_series, settings.lags, half)
        self.tail = Tail(settings.max_series, settings.warm_up - half, settings.budget, settings.max_score)
        self.high: Flags = np.zeros(settings.max_series, np.bool_)  # whether the last score was above 1
        self.waits: Ints = np.zeros(settings.max_series, np.int64)  # samples until a restart counts
        self.failures = 0
        self._said = ""

    def notice(self, window: Window, known: int) -> None:
        """Give the series from id `known` on a place, as long as there are some."""
        self.places.notice(window, known)

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        gone = self.places.remap(remap)
        self.anew(gone)
        self.forget(gone)
        self.high[gone], self.waits[gone] = False, 0

    def forget(self, places: Ints) -> None:
        """These places are free."""

    def anew(self, places: Ints) -> None:
        """These are learned anew."""
        self.features.forget(places)
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
            "ids": self.places.ids.copy(),
            "high": self.high.copy(),
            "waits": self.waits.copy(),
            **{f"features_{name}": array for name, array in self.features.snapshot().items()},
            **{f"tail_{name}": array for name, array in self.tail.snapshot().items()},
        }

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        features, tail = self.features.snapshot(), self.tail.snapshot()
        high, waits = np.array(state["high"], np.bool_), np.array(state["waits"], np.int64)
        if len(high) != len(self.high) or len(waits) != len(self.waits):
            raise ValueError("what waits for a restart does not fit")
        try:
            self.features.restore(_part("features_", state))
            self.tail.restore(_part("tail_", state))
            self.places.restore(np.asarray(state["ids"], np.int64), size)
        except (KeyError, ValueError):
            self.features.restore(features)
            self.tail.restore(tail)
            raise
        self.high, self.waits = high, waits

    def samples(self) -> Iterator[Sample]:
        """Its own metrics, as METRICS declares them."""
        label = {"detector": self.name}
        yield Sample("fleetowl_detector_left_out_series", label, self.places.left_out)
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
        return self.features.bytes + self.tail.bytes


def _version(settings: CustomSettings) -> int:
    """Another library, argument or adapter is another version: its state is not taken over."""
    parts = [
        _OWN,
        settings.use,
        library.version_of(settings.use),
        settings.arguments,
        settings.lags,
        settings.warm_up,
        settings.max_series,
        settings.sample,
        settings.seed,
    ]
    return zlib.crc32(json.dumps(parts, sort_keys=True, default=str).encode()) | 1


def _part(prefix: str, state: Mapping[str, NDArray[Any]]) -> State:
    return {name.removeprefix(prefix): array for name, array in state.items() if name.startswith(prefix)}
