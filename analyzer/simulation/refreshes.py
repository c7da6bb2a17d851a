"""The repetitions that a history leaves out.

A recording may hold no more than the begin and the end of an alert; its sender has repeated it meanwhile,
or it would have been resolved. An alert whose next line is its end, or states the same `startsAt`, is
repeated in between as Prometheus does.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from analyzer.simulation.history import Line
from model.alert import Alert


class Refreshes:
    """Hands out the repetitions that are due; `interval` (ms) is the time between two of them."""

    def __init__(self, lines: Sequence[Line], interval: int) -> None:
        self._interval = interval
        self._until = _continued(lines, interval)
        self._due: list[tuple[int, int, int, Alert]] = []

    def took(self, place: int, line: Line) -> None:
        """The line at this place of the history was taken."""
        until = self._until.get(place)
        if until is not None:
            heapq.heappush(self._due, (line.at + self._interval, place, until, line.alert))

    def next_at(self) -> int | None:
        """When (ms) the next one is due."""
        return self._due[0][0] if self._due else None

    def due(self, now: int) -> list[Alert]:
        """The alerts that are repeated at `now` (ms)."""
        found = []
        while self._due and self._due[0][0] <= now:
            at, place, until, alert = heapq.heappop(self._due)
            if now < until:
                found.append(alert)
                if at + self._interval < until:
                    heapq.heappush(self._due, (max(now, at + self._interval), place, until, alert))
        return found


def _continued(lines: Sequence[Line], interval: int) -> dict[int, int]:
    """For the lines whose alert goes on for longer than the interval: the moment of its next line."""
    continued: dict[int, int] = {}
    later: dict[int, Line] = {}
    for place in range(len(lines) - 1, -1, -1):
        line = lines[place]
        following = later.get(line.alert.fingerprint)
        later[line.alert.fingerprint] = line
        if following is not None and following.at - line.at > interval and _goes_on(line, following):
            continued[place] = following.at
    return continued


def _goes_on(line: Line, following: Line) -> bool:
    if line.alert.ends_at is not None:
        return False
    return following.alert.resolved_at(following.at) or line.alert.starts_at == following.alert.starts_at
