"""What became of the samples of one append, and the sorting out that precedes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from telemetry.bits import Floats, Ints, is_missing
from telemetry.cadence import NEVER


class Refusal(StrEnum):
    """Why a sample was not stored; the value is the label `reason`."""

    TOO_OLD = "too_old"
    TOO_FAR_AHEAD = "too_far_ahead"
    DUPLICATE = "duplicate"
    MEMORY = "memory"
    UNKNOWN_SERIES = "unknown_series"


@dataclass(slots=True)
class Appended:
    """How many samples were stored, how many of these came after a younger one, and how many were not.

    A sample that repeats what is stored, value and time, counts as accepted.
    """

    accepted: int = 0
    late: int = 0
    refused: dict[str, int] = field(default_factory=dict)

    def refuse(self, reason: Refusal, count: int) -> None:
        """Count refused samples."""
        if count:
            self.refused[reason.value] = self.refused.get(reason.value, 0) + count

    def add(self, other: Appended) -> None:
        """Add what became of another part of the same append."""
        self.accepted += other.accepted
        self.late += other.late
        for reason, count in other.refused.items():
            self.refuse(Refusal(reason), count)


NO_LIMIT = 1 << 62


def distinct(ids: Ints) -> bool:
    """Whether no id occurs twice."""
    # Senders keep their order, and ids are given in that order: mostly the first test decides.
    if len(ids) < 2 or bool((ids[1:] > ids[:-1]).all()):
        return True
    if int(ids.max()) < 16 * len(ids):
        return int(np.bincount(ids).max()) == 1  # cheaper than sorting while ids are dense
    return len(np.unique(ids)) == len(ids)


def rounds(times: Ints, ids: Ints) -> Iterator[Ints]:
    """Places of the samples in rounds: no id twice in a round, and over the rounds in the order of time.

    Samples of equal id and time keep the order in which they came.
    """
    if not len(ids):
        return
    if distinct(ids):
        yield np.arange(len(ids))
        return
    order = np.lexsort((times, ids))
    first = np.ones(len(ids), np.bool_)
    first[1:] = ids[order][1:] != ids[order][:-1]
    run = np.arange(len(ids)) - np.maximum.accumulate(np.where(first, np.arange(len(ids)), 0))
    for turn in range(int(run.max()) + 1):
        yield order[run == turn]


def scrub(values: Floats) -> Floats:
    """A copy of the values; a sender's NaN that has the bits of "missing" becomes a plain one."""
    values = np.array(values, np.float64)
    taken = is_missing(values)
    if taken.any():
        values = np.where(taken, np.nan, values)
    return values


class Horizon:
    """Which times the window takes: not `retention` old, not more than `max_ahead` ahead of the clock.

    The clock is what `advance` was told last. Before that nothing is too far ahead, and age is measured
    against the newest sample; a clock of its own would go wrong after a pause, when all samples are ahead.
    """

    def __init__(self, retention: int, max_ahead: int) -> None:
        self.retention = retention
        self.max_ahead = max_ahead
        self.now: int | None = None
        self.latest = NEVER

    @property
    def oldest(self) -> int:
        """Samples up to this time are refused, and may be overwritten."""
        return (self.latest if self.now is None else self.now) - self.retention

    @property
    def furthest(self) -> int:
        """Samples after this time are refused."""
        return NO_LIMIT if self.now is None else self.now + self.max_ahead
