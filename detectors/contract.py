"""What a detector is: it sees columns of samples, in the order of time, and answers with results.

Two kinds. A *stream detector* gets every sample of every series once. A *moment detector* gets, on a fixed
grid of moments, the newest value of each series: whoever compares series with one another needs them at one
time. Neither reads a clock; the same samples give the same results, whatever the cadence of the tick, the
order of the series, or a restart in between. What a detector keeps is bounded, and is a few named arrays.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.explanation import Explanation
from detectors.jobs import Job
from model.labels import NAME, Labels
from model.metric import Sample
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import IdRemap, Window

SCORE = "fleetowl_anomaly_score"
EXPECTED_LOW = "fleetowl_expected_low"
EXPECTED_HIGH = "fleetowl_expected_high"
PEER_DEVIATION = "fleetowl_peer_deviation"
TREND_ETA = "fleetowl_trend_eta_seconds"

State = dict[str, NDArray[Any]]
"""What a detector keeps, by name: plain numbers, no objects."""

EMPTY: Ints = np.empty(0, np.int64)
NONE: Flags = np.empty(0, np.bool_)


@dataclass(frozen=True, slots=True)
class Columns:
    """One sample each of distinct series: times (ms), ids and values, `[n]`; finite, counters as rates.

    `restarted` [n], or empty where none is, marks the first sample of a series after a restart or rollout of
    what it is about: warm-up begins anew and nothing is said in it. But a restart ends no alarm: a subject
    whose last score was above 1 stays judged by what was known before. Whoever can afford it (level, cusum,
    peer) learns the new run beside that, and goes over to it when it is warm. Who keeps one model a subject
    (entities, detectors of libraries) begins the warm-up when the alarm has ended, or when it has lasted as
    many samples as a warm-up has. A trend goes on: what fills up is as full as it was.
    """

    times: Ints
    ids: Ints
    values: Floats
    restarted: Flags = field(default_factory=lambda: NONE)


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known at a moment of the grid: by series id the newest clean value up to it, and its time."""

    at: int  # ms
    times: Ints  # ms, [ids]; 0 where there is none
    values: Floats  # [ids]; NaN where there is none
    restarted: Ints = field(default_factory=lambda: EMPTY)  # ids, ascending: a new run since the last moment

    def fresh(self, ids: Ints, within: int) -> Floats:
        """The values of these series, NaN where the newest is `within` ms old or older."""
        found = self.values[ids]  # a copy
        found[self.times[ids] <= self.at - within] = np.nan
        return found


@dataclass(frozen=True, slots=True)
class Results:
    """What a detector found: for `subjects` [n] at `times` [n] (ms) the values `[n, results]`.

    A time is that of the newest sample which the result rests on, so that the two stand side by side; a
    subject without a newer sample than last time is not told of again. A row of NaN says nothing. `ended`
    are subjects of which nothing will be said until they are told of again: their series end at `ended_at`.
    """

    times: Ints
    subjects: Ints
    values: Floats
    ended: Ints = field(default_factory=lambda: EMPTY)
    ended_at: Ints = field(default_factory=lambda: EMPTY)


class Detector(ABC):
    """The part that all have in common. A *subject* is what a result is about: by default a series, by id."""

    name: str
    """Value of the label `detector` of its results, unless its `labels` say otherwise."""
    version: int
    """Of its scores and its state: a snapshot of another version is not taken over."""
    fails: str
    """One sentence for people: when not to believe it."""
    results: tuple[str, ...]
    """Names of its result series, in the order of the columns of `Results.values`."""
    by_source: bool = True
    """Whether subjects are series; then results are written only for metrics that somebody demands."""

    @abstractmethod
    def snapshot(self, size: int) -> State:
        """Copies of all that it keeps; arrays by series id have `size` places."""

    @abstractmethod
    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot made by this version, of `size` series numbered as they are now.

        Raises KeyError or ValueError where it does not fit; the detector is then as it was.
        """

    @abstractmethod
    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series; what belongs to dropped ones is forgotten."""

    @property
    @abstractmethod
    def bytes(self) -> int:
        """Memory of what it keeps."""

    def notice(self, window: Window, known: int) -> None:  # noqa: B027 - most need not know
        """Look at the series from id `known` on: they are new; from 0 after a renumbering or a restart."""

    def warm(self) -> None:  # noqa: B027 - most have nothing to compile
        """Import and compile now what a step would otherwise wait for."""

    def labels(self, window: Window, subject: int, result: str) -> Labels:
        """The labels of a result series of a subject."""
        source = window.labels(subject)
        return source.merged({NAME: result, "metric": source.name, "detector": self.name})

    def home(self, subject: int) -> int:
        """The series beside which the results of a subject stand: they have its target."""
        return subject

    def explain(self, labels: Mapping[str, str]) -> Explanation | None:
        """What it knows of the subject that these labels speak of; None if it knows none."""
        return None

    def samples(self) -> Iterator[Sample]:
        """Metrics of its own, declared in a METRICS of its module."""
        return iter(())


class StreamDetector(Detector):
    """Sees each sample once, in the order of time of its series."""

    @abstractmethod
    def reserve(self, size: int) -> None:
        """Make room for the series below id `size`."""

    @abstractmethod
    def step(self, columns: Columns) -> Results:
        """Score the samples, then learn from them."""


class MomentDetector(Detector):
    """Sees all that it watches at each moment of the grid."""

    @abstractmethod
    def notice(self, window: Window, known: int) -> None:
        """Look at the series from id `known` on: they are new; from 0 after a renumbering or a restart."""

    @abstractmethod
    def watched(self, size: int) -> Flags:
        """Which series below id `size` it wants to see."""

    def demand(self, window: Window, metric: str) -> None:
        """Somebody reads its results of this metric from now on."""

    def release(self, metric: str) -> None:
        """Nobody reads them any more."""

    @abstractmethod
    def step(self, moment: Moment) -> Results:
        """Judge the moment, then learn from it."""

    def jobs(self) -> Iterable[Job]:
        """What is to be done beside the tick since the last step, each job told once; asked after a step."""
        return ()


class Dependent(Detector):
    """One that tells what another detector has found on its way: that one keeps all there is to keep.

    It must stand after that one among the detectors.
    """

    def remap(self, remap: IdRemap) -> None:
        """The other one follows."""

    def snapshot(self, size: int) -> State:
        """Nothing of its own."""
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """The other one takes over what there is."""

    @property
    def bytes(self) -> int:
        """None of its own."""
        return 0


def nothing(results: int) -> Results:
    """No results, of a detector with that many result series."""
    return Results(EMPTY, EMPTY, np.empty((0, results)))
