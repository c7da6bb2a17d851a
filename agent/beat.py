"""The sources that share an interval: read together, pushed as one frame."""

from __future__ import annotations

import asyncio
import logging
import time

from agent.host import labelled
from agent.reading import Outgoing, Reading, Stream
from agent.schedule import Schedule
from agent.source import Source
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric("fleetowl_agent_ticks_total", "counter", "Collections begun.", ("interval",)),
    Metric(
        "fleetowl_agent_ticks_missed_total",
        "counter",
        "Collections left out because the one before took too long.",
        ("interval",),
    ),
    Metric(
        "fleetowl_agent_tick_duration_seconds",
        "gauge",
        "How long the last collection took, scrapes of engines included.",
        ("interval",),
    ),
    Metric(
        "fleetowl_agent_readings_failed_total",
        "counter",
        "Readings of a source that ended with a fault of the agent's; the frame has nothing of that source.",
        ("interval",),
    ),
)


class Beat:
    """Reads its sources, all at once, whenever it is told; sources come and go while it runs."""

    def __init__(self, interval: int, node: str, boot_id: bytes) -> None:
        self.interval = interval
        self.stream = Stream(node, interval, boot_id)
        self.sources: dict[int, Source] = {}
        self.latest: dict[int, Reading] = {}
        self.schedule = Schedule(interval, time.time() * 1000, time.monotonic())
        self.ticks = 0
        self.seconds = 0.0
        self.failed = 0
        self._failing: dict[int, str] = {}

    async def read(self, at: int) -> dict[int, Reading]:
        """What every source said as of `at` (ms), by its number. A source that raised says nothing."""
        self.ticks += 1
        began = time.monotonic()
        asked = dict(self.sources)
        answers = await asyncio.gather(
            *(source.read(at) for source in asked.values()), return_exceptions=True
        )
        self.latest = {}
        for (number, source), answer in zip(asked.items(), answers, strict=True):
            if isinstance(answer, Reading):
                self.latest[number] = answer
            self._note(number, source, answer)
        self._failing = {number: fault for number, fault in self._failing.items() if number in asked}
        self.seconds = time.monotonic() - began
        return self.latest

    def _note(self, number: int, source: Source, answer: Reading | BaseException) -> None:
        """One line in the log when a source begins to fail, fails otherwise or works again."""
        name = _name(source)
        if isinstance(answer, Reading):
            if self._failing.pop(number, ""):
                log.info("the reading of %s works again", name)
            return
        self.failed += 1
        fault = type(answer).__name__
        if self._failing.get(number) != fault:
            log.error("the reading of %s failed; the others go on", name, exc_info=answer)
        self._failing[number] = fault

    def frame(self, at: int, sequence: int) -> Outgoing:
        """The latest readings as a frame."""
        return self.stream.frame(self.latest, at, sequence)

    def shown(self, now: int) -> list[Reading]:
        """What /metrics shows: the newest reading of each source that is exported, unless it is old."""
        return [
            reading
            for number, reading in self.latest.items()
            if number in self.sources
            and self.sources[number].exported
            and now - reading.at <= 3 * self.interval + 1000
        ]

    def samples(self) -> list[Sample]:
        """How its collections go."""
        labels = labelled(("interval", f"{self.interval / 1000:g}s"))
        return [
            Sample("fleetowl_agent_ticks_total", labels, float(self.ticks)),
            Sample("fleetowl_agent_ticks_missed_total", labels, float(self.schedule.missed)),
            Sample("fleetowl_agent_tick_duration_seconds", labels, self.seconds),
            Sample("fleetowl_agent_readings_failed_total", labels, float(self.failed)),
        ]


def _name(source: Source) -> str:
    """As it calls itself (`vllm at host:8000`), else what it is."""
    return str(source) if type(source).__str__ is not object.__str__ else type(source).__name__
