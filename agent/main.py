"""The agent: collects on a steady beat, shows it on /metrics, and pushes it to the analyzers."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import time
import uuid
from collections.abc import Iterable
from urllib.parse import urlsplit

import aiohttp

from agent import engine, push, registry
from agent.engine import Engine
from agent.host import labelled
from agent.post import HttpPost
from agent.push import Backoff, Pusher
from agent.reading import Outgoing, Reading, Stream
from agent.schedule import Schedule
from agent.server import Exposition, Server
from agent.settings import AgentSettings
from agent.sources import HostSource
from agent.spool import Spool
from model.metric import Metric, Sample
from wire.frames import Frame, Kind, encode

log = logging.getLogger("fleetowl.agent")

OWN_METRICS = (
    *push.METRICS,
    *engine.METRICS,
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
    Metric("process_cpu_seconds_total", "counter", "CPU time that the agent has used."),
    Metric("process_resident_memory_bytes", "gauge", "Memory that the agent holds."),
    Metric("process_start_time_seconds", "gauge", "When the agent started, in unixtime."),
)
METRICS: tuple[Metric, ...] = (*registry.METRICS, *OWN_METRICS)
"""Every metric that the agent exports about itself."""

_HOST = 0  # the number of the host among the sources; the engines follow


class Beat:
    """The sources that share an interval: read together, pushed as one frame."""

    def __init__(self, interval: int, node: str, boot_id: bytes) -> None:
        self.interval = interval
        self.stream = Stream(node, interval, boot_id)
        self.sources: dict[int, HostSource | Engine] = {}
        self.schedule = Schedule(interval, time.time() * 1000, time.monotonic())
        self.ticks = 0
        self.seconds = 0.0

    def samples(self) -> list[Sample]:
        """How its collections go."""
        labels = labelled(("interval", f"{self.interval / 1000:g}s"))
        return [
            Sample("fleetowl_agent_ticks_total", labels, float(self.ticks)),
            Sample("fleetowl_agent_ticks_missed_total", labels, float(self.schedule.missed)),
            Sample("fleetowl_agent_tick_duration_seconds", labels, self.seconds),
        ]


class Agent:
    """Everything that runs on a node. Use as an asynchronous context manager; `stop` ends it."""

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self.boot_id = uuid.uuid4().bytes
        self.latest: dict[int, Reading] = {}
        self.pushers: list[Pusher] = []
        self._sequence = 0
        self._started_at = time.time()
        self._host = HostSource(settings, self._own_samples, OWN_METRICS)
        self._engines = [
            Engine(each, settings.node, each.interval or settings.interval) for each in settings.engines
        ]
        self.beats: dict[int, Beat] = {}
        self._add_source(_HOST, self._host, settings.interval)
        for number, each in enumerate(self._engines, start=_HOST + 1):
            self._add_source(number, each, each.interval)
        self.server = Server(settings.listen, Exposition(self._host.metrics), self._readings, self._health)
        self._session: aiohttp.ClientSession | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Agent:
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, timeout=aiohttp.ClientTimeout()
        )
        try:
            await self.server.start()
            self.pushers = [self._pusher(url, self._session) for url in self.settings.push.url]
            for pusher in self.pushers:
                await asyncio.to_thread(pusher.spool.open)
        except BaseException:
            await self._session.close()
            raise
        self._tasks = [asyncio.create_task(self._run(beat)) for beat in self.beats.values()]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(each.close() for each in self._engines))
        await self.server.close()
        farewell = self._farewell()
        await asyncio.gather(*(pusher.close(farewell) for pusher in self.pushers))
        if self._session is not None:
            await self._session.close()

    async def wait(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, or a beat ends with an error, which is raised."""
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait([stopped, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            stopped.cancel()

    async def tick(self, beat: Beat, at: int) -> None:
        """Read the beat's sources, all at once, and send one frame of what they said."""
        beat.ticks += 1
        began = time.monotonic()
        readings = dict(
            zip(
                beat.sources,
                await asyncio.gather(*(self._read(source, at) for source in beat.sources.values())),
                strict=True,
            )
        )
        self.latest.update(readings)
        beat.seconds = time.monotonic() - began
        if self.pushers:
            self._sequence += 1
            frame = beat.stream.frame(readings, at, self._sequence)
            for pusher in self.pushers:
                pusher.offer([frame])

    async def _run(self, beat: Beat) -> None:
        while True:
            await asyncio.sleep(beat.schedule.wait(time.monotonic()))
            beat.schedule.begin(time.monotonic())
            try:
                await self.tick(beat, _now())
            # The supervisor boundary: a fault of ours must not end the watch over the node.
            except Exception:
                log.exception("a collection failed; the next one is due in %d ms", beat.interval)

    async def _read(self, source: HostSource | Engine, at: int) -> Reading:
        if isinstance(source, HostSource):
            return await source.read(at)
        assert self._session is not None
        return await source.read(self._session, at)

    def _add_source(self, number: int, source: HostSource | Engine, interval: int) -> None:
        if interval not in self.beats:
            self.beats[interval] = Beat(interval, self.settings.node, self.boot_id)
        self.beats[interval].sources[number] = source

    def _pusher(self, url: str, session: aiohttp.ClientSession) -> Pusher:
        settings = self.settings.push
        name = urlsplit(url).netloc
        # One folder an analyzer: what one has taken another may still miss.
        folder = settings.spool.directory / name.replace(":", "_")
        return Pusher(
            name,
            HttpPost(session, url, settings, time.time),
            Spool(folder, settings.spool.max_bytes),
            Backoff(settings.min_backoff / 1000, settings.max_backoff / 1000),
            settings.spool.backfill_rate,
        )

    def _farewell(self) -> Outgoing:
        """A frame that says who leaves by the host's schema."""
        self._sequence += 1
        key, schema = self.beats[self.settings.interval].stream.announcement
        frame = Frame(Kind.BYE, self.boot_id, self._sequence, _now(), self.settings.interval, key, b"")
        return Outgoing(key, schema, encode(frame))

    def _own_samples(self) -> Iterable[Sample]:
        parts: list[Pusher | Engine | Beat] = [*self.pushers, *self._engines, *self.beats.values()]
        for part in parts:
            yield from part.samples()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield Sample("process_cpu_seconds_total", labelled(), usage.ru_utime + usage.ru_stime)
        yield Sample("process_resident_memory_bytes", labelled(), float(_resident_bytes()))
        yield Sample("process_start_time_seconds", labelled(), self._started_at)

    def _readings(self) -> list[Reading]:
        """What /metrics shows: the newest reading of each source, unless it has become old."""
        now = _now()
        return [
            self.latest[number]
            for beat in self.beats.values()
            for number in beat.sources
            if number in self.latest
            and now - self.latest[number].at <= 3 * beat.interval + 1000
            and (number == _HOST or self.settings.export_engines)
        ]

    def _health(self) -> tuple[bool, str]:
        reading = self.latest.get(_HOST)
        if reading is None:
            return False, "the first collection is not through"
        age = _now() - reading.at
        if age > 5 * self.settings.interval + 5000:
            return False, f"the last collection is {age} ms old"
        return True, "collecting"


async def run(settings: AgentSettings, stop: asyncio.Event) -> None:
    """Run the agent until `stop` is set. Raises OSError if the address cannot be listened on."""
    async with Agent(settings) as agent:
        log.info("the agent of %s answers on http://%s/metrics", settings.node, agent.server.address)
        await agent.wait(stop)


def _now() -> int:
    return int(time.time() * 1000)


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
