"""What is kept of one code on one GPU: how often, when last, and with which verdicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent.xid.judgement import Judgement
from agent.xid.settings import Class, Tier

RECENT = 300.0
"""Seconds: dcgm-exporter's window for DCGM_EXP_XID_ERRORS_COUNT."""


class Verdict(NamedTuple):
    """What was thought of an occurrence; the labels of its last time."""

    tier: Tier
    class_: Class
    action: str
    repeated: bool


@dataclass(slots=True)
class Occasion:
    """The last time that an occurrence had a verdict; over if another code has cancelled it."""

    at: float
    cancelled_by: int = 0


@dataclass(slots=True)
class Record:
    """One code on one GPU. Times are monotonic seconds."""

    count: int = 0
    last: float | None = None
    verdicts: dict[Verdict, Occasion] = field(default_factory=dict)
    told: float | None = None
    """When an event was last sent."""
    untold: int = 0
    """Occurrences since."""
    _seconds: deque[tuple[int, int]] = field(default_factory=deque)

    def add(self, now: float, times: int) -> None:
        """So many occurrences, now."""
        self.count += times
        self.last = now
        second = int(now)
        if self._seconds and self._seconds[-1][0] == second:
            times += self._seconds.pop()[1]
        self._seconds.append((second, times))
        self.recent(now)

    def remember(self, at: float) -> None:
        """An occurrence from before the agent began: a last time, and no count."""
        self.last = at if self.last is None else max(at, self.last)

    def recent(self, now: float) -> int:
        """Occurrences within the window."""
        if not self._seconds:
            return 0  # as of most codes of most GPUs, asked each second
        while self._seconds and now - self._seconds[0][0] > RECENT:
            self._seconds.popleft()
        return sum(number for _, number in self._seconds)

    def hold(self, verdict: Verdict, at: float) -> None:
        """An occurrence had this verdict."""
        known = self.verdicts.get(verdict)
        if known is None or at >= known.at:
            self.verdicts[verdict] = Occasion(at)

    def cancel(self, code: int, at: float, but: Verdict | None = None) -> None:
        """Another code, or another verdict, says that what was before is over."""
        for verdict, occasion in self.verdicts.items():
            if verdict != but and occasion.at <= at:
                occasion.cancelled_by = code

    def merge(self, other: Record) -> None:
        """Take over what was counted under another name of the same GPU."""
        self.count += other.count
        if other.last is not None:
            self.remember(other.last)
        for verdict, occasion in other.verdicts.items():
            known = self.verdicts.get(verdict)
            if known is None or occasion.at > known.at:
                self.verdicts[verdict] = occasion
        self._seconds = deque(sorted([*self._seconds, *other._seconds]))


def verdict_of(judgement: Judgement, repeated: bool) -> Verdict:
    """The verdict on an occurrence that is, or is no, repetition under the code's rule."""
    if repeated and judgement.repeat is not None:
        return Verdict(judgement.repeat.tier, judgement.class_, judgement.repeat.action, True)
    return Verdict(judgement.tier, judgement.class_, judgement.action, False)


def labels_of(verdict: Verdict, occasion: Occasion, action: str) -> Mapping[str, str]:
    """The verdict as labels; `action` is what is to be done now."""
    return {
        "tier": verdict.tier,
        "class": verdict.class_,
        "action": action,
        "repeated": "true" if verdict.repeated else "",
        "cancelled_by": str(occasion.cancelled_by or ""),
    }


def newest(records: Mapping[int, Record]) -> int:
    """The code that came last, 0 if none did."""
    times = {code: record.last for code, record in records.items() if record.last is not None}
    return max(times, key=lambda code: times[code] or 0.0, default=0)


def counts(records: Mapping[int, Record], now: float) -> Iterator[tuple[int, int]]:
    """The codes that came within the window, and how often."""
    for code, record in records.items():
        if number := record.recent(now):
            yield code, number
