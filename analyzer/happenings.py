"""What agents reported at once, in the timelines of the incidents that it belongs to.

An event comes before the rule has fired for which it matters, so it is looked at again for a while.
"""

from __future__ import annotations

from collections.abc import Iterator

from incidents.correlation import Incidents
from model.moment import MINUTE
from telemetry.event_log import EventLog, ReceivedEvent

REMEMBERED = 5 * MINUTE
"""So long (ms) an event waits for an incident on its node to open."""


class Happenings:
    """Notes each event once in every incident that speaks of its node and opens soon enough."""

    def __init__(self, events: EventLog, incidents: Incidents) -> None:
        self._events = events
        self._incidents = incidents
        self._seen = 0
        self._waiting: list[tuple[ReceivedEvent, set[str]]] = []

    def step(self, now: int) -> None:
        """Look at what came since the last step, and again at what came lately (`now` in ms)."""
        self._waiting += [(event, set()) for event in self._events.after(self._seen)]
        self._seen = self._events.total
        if not self._waiting:
            return
        self._waiting = [one for one in self._waiting if now - one[0].received_at <= REMEMBERED]
        for received, noted in self._waiting:
            happened = received.event.at or received.received_at
            noted.update(self._incidents.event(received.node, happened, sentence_of(received), noted))


def sentence_of(received: ReceivedEvent) -> str:
    """One sentence of an event; the agent's own words where it has some."""
    event = received.event
    place = ", ".join(_places(received))
    return f"{event.type} on {place}: {event.text}" if event.text else f"{event.type} on {place}"


def _places(received: ReceivedEvent) -> Iterator[str]:
    yield received.node
    if "gpu" in received.event.labels:
        yield f"GPU {received.event.labels['gpu']}"
