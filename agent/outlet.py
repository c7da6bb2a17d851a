"""The way out for events: not too many at once, and each as a frame of its own."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from agent.event import Ahead, Event
from model.labels import Labels
from model.metric import Metric, Sample
from wire.event import LONGEST_TEXT, MOST_AHEAD, MOST_LABELS, AheadSample, EventRecord

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric("fleetowl_agent_events_total", "counter", "Events sent at once, by type.", ("type",)),
    Metric(
        "fleetowl_agent_events_dropped_total",
        "counter",
        "Events not sent, by type: too many at once, or just such a one had left. What they count is exact "
        "in the frames all the same.",
        ("type",),
    ),
)

MOST_A_SECOND = 10
_SECOND = 1.0
_FAR = 60_000
"""A sample older by so much (ms) than a frame is left as it is: the clock was set."""


class Outlet:
    """Lets the first of a kind pass, and no more than MOST_A_SECOND. `timer` gives seconds."""

    def __init__(self, node: str, timer: Callable[[], float]) -> None:
        self._node = node
        self._timer = timer
        self._left: deque[tuple[float, tuple[str, Labels]]] = deque()  # of the last second
        self._sent: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def admit(self, event: Event) -> bool:
        """Whether it leaves. In a storm of one kind the first one does, and room is left for another kind."""
        now = self._timer()
        while self._left and now - self._left[0][0] >= _SECOND:
            self._left.popleft()
        kind = (event.type, Labels(event.labels))
        if len(self._left) >= MOST_A_SECOND or any(kind == one for _, one in self._left):
            self._dropped[event.type] += 1
            return False
        self._left.append((now, kind))
        self._sent[event.type] += 1
        return True

    def record(self, event: Event, newest: int) -> EventRecord:
        """What is sent of it, when the newest frame is of the time `newest` (ms)."""
        ahead = list(after(event.ahead, newest))[-MOST_AHEAD:]
        if len(event.ahead) > MOST_AHEAD or len(event.labels) > MOST_LABELS:
            log.warning("the event %r is too large: it is cut", event.text[:80])
        return EventRecord(
            event.type,
            dict([*event.labels.items()][:MOST_LABELS]),
            event.value,
            event.at,
            event.text[:LONGEST_TEXT],
            self._node,
            tuple(AheadSample(sample.labels, sample.value, sample.at) for sample in ahead),
        )

    def samples(self) -> Iterator[Sample]:
        """What METRICS declares."""
        for name, counts in (("events_total", self._sent), ("events_dropped_total", self._dropped)):
            for kind, count in counts.items():
                yield Sample(f"fleetowl_agent_{name}", Labels({"type": kind}), float(count))


def after(samples: Iterable[Ahead], newest: int) -> Iterator[Ahead]:
    """The samples, the last one of each series later than `newest` (ms).

    An event that happened just before a reading may be counted just after it; told with its own time, the
    frame would seem to take it back.
    """
    last = {sample.labels: sample for sample in samples}
    for sample in samples:
        late = sample is last[sample.labels] and 0 <= newest - sample.at <= _FAR
        yield replace(sample, at=newest + 1) if late else sample
