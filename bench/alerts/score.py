"""What people were told of each true fault, whoever told them: counts, delays, faults nobody heard of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import mean, median
from typing import NamedTuple

from analyzer.simulation import History
from model.moment import SECOND


class Message(NamedTuple):
    """A notification at `at` (ms of the stream's time): whether it fires, and its alerts.

    An alert is its fingerprint and whether it fires.
    """

    at: int
    firing: bool
    alerts: tuple[tuple[int, bool], ...]


@dataclass
class Told:
    """Of one fault. `began` and `first` in ms, `first` None where nobody was told while it lasted."""

    fault: str
    began: int
    alerts: int
    firing: int = 0
    resolved: int = 0
    first: int | None = None

    @property
    def all(self) -> int:
        """Notifications about it."""
        return self.firing + self.resolved

    @property
    def delay(self) -> float | None:
        """Seconds from its first alert to the first notification that shows one firing."""
        return None if self.first is None else (self.first - self.began) / SECOND


@dataclass
class Score:
    """Of one stream."""

    faults: list[Told]
    messages: int
    of_noise: int
    """Messages that show no alert of a fault."""
    alerts: int
    """Distinct alerts of the stream, noise included."""


def score(history: History, messages: Sequence[Message]) -> Score:
    """Hold what was sent against the truth."""
    owners: dict[int, set[str]] = defaultdict(set)
    told: dict[str, Told] = {}
    for line in history.lines:
        print_ = line.alert.fingerprint
        for fault in line.faults:
            found = told.setdefault(fault, Told(fault, line.at, 0))
            found.alerts += fault not in owners[print_]
            owners[print_].add(fault)
    noise = 0
    for message in messages:
        spoken = {fault for print_, _ in message.alerts for fault in owners.get(print_, ())}
        noise += not spoken
        burning = {fault for print_, fires in message.alerts if fires for fault in owners.get(print_, ())}
        for fault in spoken:
            found = told[fault]
            found.firing += message.firing
            found.resolved += not message.firing
            if fault in burning and found.first is None:
                found.first = message.at
    distinct = len({line.alert.fingerprint for line in history.lines})
    return Score(list(told.values()), len(messages), noise, distinct)


@dataclass
class Summary:
    """Over many streams; delays in seconds."""

    streams: int = 0
    faults: int = 0
    mean_all: float = 0.0
    most_all: int = 0
    mean_firing: float = 0.0
    over_two: int = 0
    """Faults with more than two notifications."""
    unheard: int = 0
    median_delay: float = 0.0
    worst_delay: float = 0.0
    late: int = 0
    """Faults whose first page came later than the bound."""
    reduction: float = 0.0
    """Share of distinct alerts that made no notification of their own."""
    worst: list[str] = field(default_factory=list)


def sum_up(scores: Iterable[tuple[str, Score]], bound: float) -> Summary:
    """`bound` (s): group_wait and 5 s."""
    scores = list(scores)
    told = [(name, fault) for name, one in scores for fault in one.faults]
    if not told:
        return Summary()
    delays = [fault.delay for _, fault in told if fault.delay is not None]
    alerts = sum(one.alerts for _, one in scores)
    worst = sorted(told, key=lambda pair: -pair[1].all)[:3]
    return Summary(
        len(scores),
        len(told),
        mean(fault.all for _, fault in told),
        max(fault.all for _, fault in told),
        mean(fault.firing for _, fault in told),
        sum(fault.all > 2 for _, fault in told),
        sum(fault.all == 0 or fault.first is None for _, fault in told),
        median(delays) if delays else 0.0,
        max(delays, default=0.0),
        sum(delay > bound for delay in delays),
        1 - sum(one.messages for _, one in scores) / alerts,
        [f"{name} {fault.fault}: {fault.all}" for name, fault in worst],
    )
