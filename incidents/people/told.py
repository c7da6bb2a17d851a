"""What the timeline says of a step of a policy: who was notified, who could not be, who knew it already."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from incidents.correlation import Incidents
from incidents.people.policy import Reached

log = logging.getLogger("fleetowl.incidents")

MOST_LINES = 10
"""So many entries of one tick are logged one by one, more of them as one line."""


class Told(NamedTuple):
    """An entry that waits until it is known which pages were taken: `what` was told to `chosen`."""

    incident: str
    kind: str
    what: str
    chosen: tuple[Reached, ...]
    known: tuple[str, ...] = ()
    place: str = ""

    def sentence(self, refused: Mapping[str, str]) -> str:
        """As a person reads it; `refused` are receivers that take no page, and why."""
        parts = [notified(one, refused.get(one.receiver, "")) for one in self.chosen]
        if self.known:
            parts.append(f"{', '.join(self.known)} has heard of it through a route")
        place = f" ({self.place})" if self.place else ""
        return f"{self.what}: {'; '.join(parts) or 'nobody'}{place}"


def notified(reached: Reached, refused: str = "") -> str:
    """`notified ada (is on duty in ops) by ada-im`."""
    if refused:
        return f"{reached.whom or reached.receiver} was not notified: {refused}"
    by = f"{reached.whom} by {reached.receiver}" if reached.whom else reached.receiver
    return f"notified {by}"


def write(entries: Sequence[Told], refused: Mapping[str, str], incidents: Incidents, now: int) -> None:
    """Into the timelines, and the log."""
    for entry in entries:
        sentence, logged = entry.sentence(refused), len(entries) <= MOST_LINES
        incidents.note(entry.incident, now, entry.kind, sentence, logged=logged)
    if len(entries) > MOST_LINES:
        log.info("%d incidents need people; the first: %s", len(entries), entries[0].sentence(refused))
