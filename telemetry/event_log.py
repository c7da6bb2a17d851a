"""The last events of the agents, for people and for /metrics."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from model.metric import Metric, Sample
from model.moment import SECOND
from wire.event import EventRecord

MOST = 1000
_MOST_TYPES = 32
OTHER = "other"
"""The type under which events are counted that are of a type too many."""

METRICS = (
    Metric("fleetowl_events_total", "counter", "Events that agents sent at once, by type.", ("type",)),
    Metric(
        "fleetowl_event_delay_seconds",
        "gauge",
        "From the moment that the agent's clock gave to the newest event until it came in here.",
    ),
)


@dataclass(frozen=True, slots=True)
class ReceivedEvent:
    """An event, who sent it, and when it came (ms)."""

    node: str
    received_at: int
    event: EventRecord

    @property
    def document(self) -> dict[str, Any]:
        """As the API answers it; times in ms."""
        event = self.event
        return {
            "node": self.node,
            "type": event.type,
            "labels": dict(event.labels),
            "value": str(event.value),
            "at": event.at,
            "received_at": self.received_at,
            "text": event.text,
        }


class EventLog:
    """A ring of the last MOST events."""

    def __init__(self) -> None:
        self._ring: deque[ReceivedEvent] = deque(maxlen=MOST)
        self.total = 0
        self._counts: Counter[str] = Counter()
        self._delay: float | None = None

    def add(self, received: ReceivedEvent) -> None:
        """Note an event that has come for the first time."""
        self._ring.append(received)
        self.total += 1
        kind = received.event.type
        self._counts[kind if kind in self._counts or len(self._counts) < _MOST_TYPES else OTHER] += 1
        if received.event.at:
            self._delay = (received.received_at - received.event.at) / SECOND

    def after(self, total: int) -> list[ReceivedEvent]:
        """Those that came since `self.total` was this, the oldest first, as far as the ring holds them."""
        new = min(self.total - total, len(self._ring))
        return list(islice(self._ring, len(self._ring) - new, None)) if new else []

    def newest(self) -> list[ReceivedEvent]:
        """The events, the newest first."""
        return list(reversed(self._ring))

    def samples(self) -> Iterator[Sample]:
        """What METRICS declares."""
        for kind, count in sorted(self._counts.items()):
            yield Sample("fleetowl_events_total", {"type": kind}, count)
        if self._delay is not None:
            yield Sample("fleetowl_event_delay_seconds", {}, self._delay)
