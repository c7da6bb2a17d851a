"""The way out for events: not too many at once, and each as a frame of its own."""

from __future__ import annotations

import logging
from collections import Counter
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
"""Of one type, where nothing else is said."""
MOST_OF_TYPE = {"gpu_lost": 64, "gpu_back": 64, "probe_hung": 64}
"""Of what befalls all GPUs of a node together: 8 of them, each cut in up to 7 instances, and some room."""
MOST_LINES = 100
"""In the log, of one type."""
_SECOND = 1.0
_FAR = 60_000
"""A sample older by so much (ms) than a frame is left as it is: the clock was set."""


class _Gate:
    """Lets the first of a kind pass within a second, and of one type no more than `most`."""

    def __init__(self, most: Callable[[str], int]) -> None:
        self._most = most
        self._passed: dict[tuple[str, Labels], float] = {}  # within the last second, in order
        self._of_type: Counter[str] = Counter()

    def passes(self, event: Event, now: float) -> bool:
        while self._passed and now - next(iter(self._passed.values())) >= _SECOND:
            oldest = next(iter(self._passed))
            del self._passed[oldest]
            self._of_type[oldest[0]] -= 1
        kind = (event.type, Labels(event.labels))
        if kind in self._passed or self._of_type[event.type] >= self._most(event.type):
            return False
        self._passed[kind] = now
        self._of_type[event.type] += 1
        return True


class Outlet:
    """Lets the first of a kind pass, and no more than so many of one type in a second.

    `timer` gives seconds.
    """

    def __init__(self, node: str, timer: Callable[[], float]) -> None:
        self._node = node
        self._timer = timer
        self._gate = _Gate(lambda kind: MOST_OF_TYPE.get(kind, MOST_A_SECOND))
        self._lines = _Gate(lambda _: MOST_LINES)
        self._sent: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()

    def admit(self, event: Event) -> bool:
        """Whether it leaves. In a storm of one kind the first one does, and room is left for another kind."""
        passes = self._gate.passes(event, self._timer())
        (self._sent if passes else self._dropped)[event.type] += 1
        return passes

    def is_news(self, event: Event) -> bool:
        """Whether the log is to say it; also of one that does not leave, unless just such a one was said."""
        return self._lines.passes(event, self._timer())

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
