"""Whether a node that pushes is up, and how wrong its clock is: by our clock, whatever time it sends.

The samples of a frame have the time that the agent gave them. `up` has the time at which the frame came, so
a node whose clock is so wrong that its samples are refused is up all the same, and goes down when it falls
silent.
"""

from __future__ import annotations

from collections import Counter

import numpy as np

from model.labels import NAME, Labels
from model.metric import Metric
from model.moment import SECOND
from telemetry.bits import Ints
from telemetry.series_ids import NO_IDS, UNRESOLVED, SeriesIds
from telemetry.window import LimitExceeded, Target, Window

_BUNCH = 10  # ms; further back our own clock was set
JOB = "fleetowl-agent"
SKEW = "fleetowl_agent_clock_skew_seconds"
METRICS = (
    Metric(
        SKEW,
        "gauge",
        "A node's clock against the analyzer's at its newest live frame, negative if it is behind; the time "
        "that the collection took is in it. In the window only, not on /metrics.",
        ("node",),
    ),
)


class Presence:
    """The series `up` and SKEW of one node, in a target of their own."""

    def __init__(self, window: Window, node: str) -> None:
        self._window = window
        self._key = f"agent/{node}/up"
        whose = {"job": JOB, "instance": node, "node": node}
        self._labels = [Labels({NAME: name, **whose}) for name in ("up", SKEW)]
        self._series = SeriesIds(window)
        self._series.extend(len(self._labels))
        self._written_at = 0

    def claim(self, interval: int, refused: Counter[str]) -> Ints:
        """The id of `up`, empty if the window does not take it: asked for before the node's other series."""
        return self._id(0, self._target(interval), refused)

    def report(self, now: int, interval: int, skew: int, refused: Counter[str]) -> None:
        """A live frame came at `now`, and its time was `skew` ms ahead of that."""
        target = self._target(interval)
        up, skews = self._id(0, target, refused), self._id(1, target, refused)
        values = np.concatenate([np.ones(len(up)), np.full(len(skews), skew / SECOND)])
        self._window.append(target, self._next(now), np.concatenate([up, skews]), values)

    def miss(self, now: int, interval: int, refused: Counter[str]) -> None:
        """Frames are missing: `up` is 0, and of its clock nothing is known."""
        target = self._target(interval)
        up, at = self._id(0, target, refused), self._next(now)
        self._window.append(target, at, up, np.zeros(len(up)))
        self._window.mark_stale(target, at, self._series.ids[1:][self._series.ids[1:] >= 0])

    def end(self, now: int, interval: int) -> None:
        """The node has left."""
        self._series.refresh()
        ids = self._series.ids
        self._window.mark_stale(self._target(interval), self._next(now), ids[ids >= 0])

    def _target(self, interval: int) -> Target:
        self._series.refresh()
        return self._window.target(self._key, interval)

    def _next(self, now: int) -> int:
        """The time of the next sample: of two within a millisecond the second one is not to be refused."""
        self._written_at = self._written_at + 1 if 0 <= self._written_at - now < _BUNCH else now
        return self._written_at

    def _id(self, place: int, target: Target, refused: Counter[str]) -> Ints:
        if self._series.ids[place] == UNRESOLVED:
            try:
                self._series.resolve(place, target, self._labels[place], "gauge")
            except LimitExceeded as error:
                refused[error.reason] += 1
                return NO_IDS
        return self._series.ids[place : place + 1]
