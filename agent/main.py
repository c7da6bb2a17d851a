"""The agent: collects on a steady beat, shows it on /metrics, and pushes it to the analyzers."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import resource
import time
import uuid
from collections.abc import Awaitable, Iterable, Iterator
from urllib.parse import urlsplit

from agent import clock, outlet, push, registry
from agent.beat import METRICS as BEAT_METRICS
from agent.beat import Beat
from agent.clock import ClockWatch
from agent.engines import engine, finder
from agent.engines.budget import NodeBudget
from agent.engines.engine import Engine
from agent.engines.finder import Discovery, Finder
from agent.engines.pod_discovery import PodDiscovery
from agent.engines.port_discovery import PortDiscovery
from agent.engines.settings import EngineSettings
from agent.event import Event
from agent.exposition import Exposition
from agent.gpu.hold import Hold
from agent.gpu.protocol import Sweep
from agent.gpu.source import RECOVERY_ACTION, GpuSource, nobody
from agent.gpu.start import gpu_source
from agent.host import labelled
from agent.host_source import HostSource
from agent.http.session import SharedSession
from agent.outlet import Outlet
from agent.pods.source import PodSource
from agent.post import HttpPost
from agent.push import Backoff, Pusher
from agent.reading import Outgoing, Reading
from agent.server import Server
from agent.settings import AgentSettings
from agent.source import Source
from agent.spool import Spool
from agent.xid.devices import KnownDevices
from agent.xid.source import XidSource
from model.metric import Metric, Sample
from wire.event import pack_event
from wire.frames import NO_SCHEMA, Frame, Kind, encode

log = logging.getLogger("fleetowl.agent")

OWN_METRICS = (
    *push.METRICS,
    *outlet.METRICS,
    *clock.METRICS,
    *engine.METRICS,
    *finder.METRICS,
    *BEAT_METRICS,
    Metric("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds."),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes."),
    Metric("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds."),
)
METRICS: tuple[Metric, ...] = (*registry.METRICS, *OWN_METRICS)
"""Every metric that the agent exports about itself."""


class Agent:
    """Everything that runs on a node. Use as an asynchronous context manager; `stop` ends it.

    A `quiet` one neither listens nor pushes, and reads only when it is told. `hold` keeps it off the GPUs'
    driver.
    """

    def __init__(self, settings: AgentSettings, quiet: bool = False, hold: Hold | None = None) -> None:
        self.settings = settings
        self.quiet = quiet
        self.boot_id = uuid.uuid4().bytes
        self.pushers: list[Pusher] = []
        self.beats: dict[int, Beat] = {}
        self._numbers = itertools.count()
        self._sequence = 0
        self._newest = 0
        self._leaving = False
        self._clock = ClockWatch(time.time, time.monotonic)
        self._outlet = Outlet(settings.node, time.monotonic)
        self._started_at = time.time()
        self._running = False
        self._session = SharedSession()
        self._posts: list[HttpPost] = []
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._host = HostSource(settings, self._own_samples, OWN_METRICS)
        self._budget = NodeBudget(settings.engine_series)
        engines = [self._engine(each) for each in settings.engines]
        self.pods = PodSource(settings) if settings.pods.enabled else None
        self.devices = KnownDevices()
        self.xids = XidSource(settings, self.devices, self._emit_xid)
        self.gpus = self._gpu_source(hold or Hold()) if settings.gpu.enabled else None
        if self.gpus is not None:
            # Those that were there before and may be lost now: the kernel's log names them by address.
            self.devices.update([device.identity for device in self.gpus.devices.values()], "")
        optional = [source for source in (self.pods, self.gpus) if source is not None]
        sources: list[Source] = [self._host, self.xids, *engines, *optional]
        for source in sources:
            self.add(source)
        self.finder = self._finder()
        self.server = Server(settings.listen, Exposition(self._families), self._readings, self._health)

    def add(self, source: Source) -> None:
        """Read this source from now on, on the beat of its interval."""
        if source.interval not in self.beats:
            self.beats[source.interval] = Beat(source.interval, self.settings.node, self.boot_id)
            if self._running and not self.quiet:
                self._start(self.beats[source.interval])
        self.beats[source.interval].sources[next(self._numbers)] = source

    async def remove(self, source: Source) -> None:
        """Read this source no more; its series end with the next frame."""
        beat = self.beats[source.interval]
        for number in [number for number, each in beat.sources.items() if each is source]:
            del beat.sources[number]
        await source.close()

    @property
    def sources(self) -> list[Source]:
        """All that are read now."""
        return [source for beat in self.beats.values() for source in beat.sources.values()]

    async def __aenter__(self) -> Agent:
        self._running = True
        if self.quiet:
            self.xids.start()
            await self.finder.look()
            return self
        await self.server.start()
        try:
            self.pushers = [self._pusher(url) for url in self.settings.push.url]
            for pusher in self.pushers:
                await asyncio.to_thread(pusher.spool.open)
        except BaseException:
            await self.server.close()
            raise
        self.xids.start()
        for beat in self.beats.values():
            self._start(beat)
        self.finder.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await _close(self.finder.close())
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await _close(*(source.close() for source in self.sources))
        await _close(self.server.close())
        self._leaving = True
        farewell = self._farewell()
        await _close(*(pusher.close(farewell) for pusher in self.pushers))
        for post in self._posts:
            post.close()
        await _close(self._session.close())

    async def wait(self, stop: asyncio.Event) -> None:
        """Until `stop` is set, or a beat ends with an error, which is raised."""
        stopped = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait(
                [stopped, *self._tasks.values()], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                task.result()
        finally:
            stopped.cancel()

    async def tick(self, beat: Beat, at: int) -> None:
        """Read the beat's sources, all at once, and send one frame of what they said."""
        self._newest = at
        await beat.read(at)
        if self.pushers:
            self._sequence += 1
            frame = beat.frame(at, self._sequence)
            for pusher in self.pushers:
                pusher.offer([frame])

    def emit(self, event: Event) -> None:
        """Send an event on its way to every analyzer, ahead of the next frame. For the loop's own thread."""
        if self._outlet.is_news(event):
            log.warning("%s", event.text)
        if not self._outlet.admit(event) or self._leaving:
            return
        self._sequence += 1
        payload, now = pack_event(self._outlet.record(event, self._newest)), _now()
        frame = Frame(
            Kind.EVENT, self.boot_id, self._sequence, now, self.settings.interval, NO_SCHEMA, payload
        )
        for pusher in self.pushers:
            pusher.hurry(Outgoing(NO_SCHEMA, b"", encode(frame), now), event.at / 1000)

    def _start(self, beat: Beat) -> None:
        self._tasks[beat.interval] = asyncio.create_task(self._run(beat))

    async def _run(self, beat: Beat) -> None:
        while True:
            await asyncio.sleep(beat.schedule.wait(time.monotonic()))
            beat.schedule.begin(time.monotonic())
            self._clock.look()
            try:
                await self.tick(beat, _now())
            # The supervisor boundary: a fault of ours must not end the watch over the node.
            except Exception:
                log.exception("a collection failed; the next one is due in %d ms", beat.interval)

    def _gpu_source(self, hold: Hold) -> GpuSource:
        pods = self.pods
        return gpu_source(
            self.settings,
            self.emit,
            hold,
            owners=pods.owners if pods else nobody,
            history=self.xids,
            companions=[pods.latest] if pods else [],
            followers=[self._know],
            remember=not self.quiet,
            listeners=[lambda occurrence: self.xids.from_driver(occurrence, _now())],
        )

    def _know(self, sweep: Sweep) -> None:
        """Tell those who hear of GPUs from elsewhere who they are, and the driver's verdict on them."""
        self.devices.update(sweep["identities"], sweep["driver"])
        if self.gpus is not None:
            self.devices.keep(self.gpus.devices.keys() | {report["uuid"] for report in sweep["devices"]})
        for report in sweep["devices"]:
            action = report["values"].get(RECOVERY_ACTION)
            if action is not None:
                self.xids.ledger.set_recovery(report["uuid"], int(action))

    def _emit_xid(self, event: Event) -> None:
        """An XID may be all that the kernel's log says of a GPU that is lost: see what the driver says."""
        self.emit(event)
        if self.gpus is not None:
            self.gpus.look()

    def _engine(self, engine: EngineSettings, started: float | None = None) -> Engine:
        interval = engine.interval or self.settings.interval
        shown, budget = self.settings.export_engines, self._budget
        return Engine(
            engine, self.settings.node, interval, self._session, shown, started=started, budget=budget
        )

    def _finder(self) -> Finder:
        """Finds engines by the ways that are configured."""
        settings = self.settings.discovery
        ways: list[Discovery] = []
        if settings.pods.enabled:
            ways.append(PodDiscovery(settings.pods, self._session))
        if settings.ports:
            ways.append(PortDiscovery(settings, self.settings.node, self._session))
        known = self.settings.engines
        return Finder(ways, known, settings.max_engines, self._engine, self.add, self.remove)

    def _pusher(self, url: str) -> Pusher:
        settings = self.settings.push
        post = HttpPost(self._session, url, settings, time.time)
        self._posts.append(post)
        name = urlsplit(url).netloc
        # One folder an analyzer: what one has taken another may still miss.
        folder = settings.spool.directory / name.replace(":", "_")
        return Pusher(
            name,
            post,
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
        engines = [source for source in self.sources if isinstance(source, Engine)]
        parts: list[Pusher | Engine | Beat | Outlet | ClockWatch | Finder]
        parts = [*self.pushers, *engines, *self.beats.values(), self._outlet, self._clock, self.finder]
        for part in parts:
            yield from part.samples()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield Sample("process_cpu_seconds_total", labelled(), usage.ru_utime + usage.ru_stime)
        yield Sample("process_resident_memory_bytes", labelled(), float(_resident_bytes()))
        yield Sample("process_start_time_seconds", labelled(), self._started_at)

    def _families(self) -> Iterator[Metric]:
        for source in self.sources:
            yield from source.metrics()

    def _readings(self) -> list[Reading]:
        now = _now()
        return [reading for beat in self.beats.values() for reading in beat.shown(now)]

    def _health(self) -> tuple[bool, str]:
        reading = self.beats[self.settings.interval].latest.get(0)
        if reading is None:
            return False, "the first collection is not through"
        age = _now() - reading.at
        if age > 5 * self.settings.interval + 5000:
            return False, f"the last collection is {age} ms old"
        return True, "collecting"


async def run(settings: AgentSettings, stop: asyncio.Event, hold: Hold | None = None) -> None:
    """Run the agent until `stop` is set. Raises OSError if the address cannot be listened on."""
    async with Agent(settings, hold=hold) as agent:
        log.info("the agent of %s answers on http://%s/metrics", settings.node, agent.server.address)
        await agent.wait(stop)


async def _close(*parts: Awaitable[None]) -> None:
    """Wait until they have ended; one that cannot must not keep the others open."""
    for outcome in await asyncio.gather(*parts, return_exceptions=True):
        if isinstance(outcome, Exception):
            log.error("a part of the agent did not end as it should", exc_info=outcome)


def _now() -> int:
    return int(time.time() * 1000)


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
