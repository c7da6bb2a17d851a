"""Events as a person on call counts them: found or not, how late, and how often woken for nothing.

An event is a stretch of labelled rows. An alarm is raised at the first row whose score is above the
threshold; then the scorer is deaf for a fixed time of the rows' clock, whatever the score does, and hears
again. So a constant alarm does not count as one long alarm that finds all: it costs one false alarm each
cool-down, 24 a day at an hour. The threshold comes from the configuration, never from the scored data.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from bench.detection.labelled.series import stretches
from model.moment import DAY, HOUR, SECOND
from telemetry.bits import Flags, Floats, Ints

COOL_DOWN = HOUR
"""Between two alarms of an entity (ms)."""
THRESHOLD = 1.0
"""Of every detector of the product: a score above 1 is anomalous."""


@dataclass(frozen=True)
class Tally:
    """Counts of one entity or of several together; delays in seconds, `days` without an event in days."""

    events: int = 0
    found: int = 0
    false: int = 0
    days: float = 0.0
    delays: tuple[float, ...] = field(default=())

    @property
    def recall(self) -> float:
        """Events with an alarm in them; NaN where there is no event."""
        return self.found / self.events if self.events else float("nan")

    @property
    def precision(self) -> float:
        """Found events over found events and false alarms; NaN where there is neither."""
        alarms = self.found + self.false
        return self.found / alarms if alarms else float("nan")

    @property
    def f1(self) -> float:
        """The harmonic mean of both; 0 where nothing is found."""
        if not self.events:
            return float("nan")
        return 2 * self.found / (2 * self.found + self.false + (self.events - self.found))

    @property
    def delay(self) -> float:
        """Median seconds from an event's first row to its alarm; NaN where none is found."""
        return median(self.delays) if self.delays else float("nan")

    @property
    def false_per_day(self) -> float:
        """False alarms for each day outside events."""
        return self.false / self.days if self.days else float("nan")

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(
            self.events + other.events,
            self.found + other.found,
            self.false + other.false,
            self.days + other.days,
            self.delays + other.delays,
        )


def alarms(times: Ints, scores: Floats, threshold: float, cool_down: int = COOL_DOWN) -> Ints:
    """The rows that raise an alarm; NaN never does. A clock that goes back (autumn) is taken to stand.

    >>> alarms(np.arange(5) * 1000, np.array([0, 2, 2, 2, 0.0]), 1.0, cool_down=2000).tolist()
    [1, 3]
    """
    high = np.flatnonzero(scores > threshold)
    moments = np.maximum.accumulate(times)[high]
    raised: list[int] = []
    place = 0
    while place < len(high):
        raised.append(int(high[place]))
        place = int(np.searchsorted(moments, moments[place] + cool_down))
    return np.array(raised, np.int64)


def tally(
    times: Ints, labels: Flags, scores: Floats, threshold: float = THRESHOLD, cool_down: int = COOL_DOWN
) -> Tally:
    """Hold the alarms of one entity against its labels; all `[n]`, times in ms.

    An event is found by the first alarm in it; more alarms in it cost nothing. What is raised outside is
    false.
    """
    raised = alarms(times, scores, threshold, cool_down)
    events = stretches(labels)
    delays = []
    for first, last in events:
        inside = raised[(raised >= first) & (raised <= last)]
        if len(inside):
            delays.append(float(times[inside[0]] - times[first]) / SECOND)
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    days = int((~labels).sum()) * step / DAY
    return Tally(len(events), len(delays), int((~labels[raised]).sum()), days, tuple(delays))


def together(tallies: Iterable[Tally]) -> Tally:
    """All counts in one, to be shown beside the rows it is made of, never instead."""
    return sum(tallies, Tally())


def oracle(
    entities: Sequence[tuple[Ints, Flags, Floats]], budget: float, looked_at: int = 60
) -> tuple[float, Tally]:
    """The threshold with the best F1 within `budget` false alarms an entity-day, and what it gives.

    It is picked on the scored data: how good a threshold could be, never how good the configured one is.
    """
    known = np.concatenate([scores[np.isfinite(scores)] for _, _, scores in entities])
    best = (float("inf"), together(tally(*entity, float("inf")) for entity in entities))
    if not len(known):
        return best
    shares = 1.0 - np.geomspace(1e-5, 0.3, looked_at)
    for threshold in np.unique(np.quantile(known, shares)):
        found = together(tally(*entity, float(threshold)) for entity in entities)
        if found.false_per_day <= budget and not found.f1 <= best[1].f1:
            best = (float(threshold), found)
    return best
