"""What became of an episode: whether the right member alerted in time, and who alerted for nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np

from bench.detection.injection.background import INTERVAL
from bench.detection.injection.episodes import NONE, Episode
from model.moment import MINUTE, SECOND
from telemetry.bits import Flags, Ints

RESOLVED = 5 * MINUTE // INTERVAL
"""Rows without a sign after which the next one is a new alert."""


@dataclass(frozen=True)
class Verdict:
    """Of one episode: its kind, the delay (s) of the true alert or None, and the false alerts."""

    kind: str
    delay: float | None
    false: int


def alerts(flags: Flags) -> Ints:
    """The rows in which an alert of one member begins.

    >>> alerts(np.array([0, 1, 1, 0, 1, *[0] * 60, 1], bool)).tolist()
    [1, 65]
    """
    rows = np.flatnonzero(flags)
    return rows[np.diff(rows, prepend=-RESOLVED - 1) > RESOLVED]


def verdict(episode: Episode, flags: Flags) -> Verdict:
    """Hold the flags `[rows, members]` against the fault.

    True is the first alert of the ill member that begins in the fault; what began before and goes on, or is
    of another member, is false. More alerts of the ill member within the fault count neither way.
    """
    false, delay = 0, None
    for member, column in enumerate(flags.T):
        begun = alerts(column)
        if episode.kind != NONE and member == episode.member:
            inside = begun[begun >= episode.onset]
            begun = begun[begun < episode.onset]
            if len(inside):
                delay = float(inside[0] - episode.onset) * INTERVAL / SECOND
        false += len(begun)
    return Verdict(episode.kind, delay, false)


@dataclass(frozen=True)
class Total:
    """Over many episodes; delays in seconds."""

    faults: int
    found: int
    false: int
    delays: tuple[float, ...]

    @property
    def recall(self) -> float:
        """Faults whose member alerted; NaN without a fault."""
        return self.found / self.faults if self.faults else float("nan")

    @property
    def precision(self) -> float:
        """True alerts over all; NaN without any."""
        alerts = self.found + self.false
        return self.found / alerts if alerts else float("nan")

    @property
    def delay(self) -> float:
        """The median of the true alerts, from the first row with the fault; NaN without any."""
        return median(self.delays) if self.delays else float("nan")


def total(verdicts: Iterable[Verdict]) -> Total:
    """Count them together."""
    verdicts = list(verdicts)
    delays = tuple(one.delay for one in verdicts if one.delay is not None)
    faults = sum(one.kind != NONE for one in verdicts)
    return Total(faults, len(delays), sum(one.false for one in verdicts), delays)
