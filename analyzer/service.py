"""The central process: it starts the pipeline, feeds it, ticks it, and performs what it asks for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp import web

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.sender import Sender
from analyzer.access import Overload, readable, require_token
from analyzer.actions import Actions
from analyzer.api.alertmanager.alerts import AlertsApi
from analyzer.api.alertmanager.mounting import mounted, under_prefix
from analyzer.api.alertmanager.posting import PostingApi
from analyzer.api.alertmanager.silences import SilencesApi
from analyzer.api.alertmanager.status import StatusApi
from analyzer.api.routes import Api
from analyzer.api.turns import Turns
from analyzer.assembly import Plan, assemble, prepare, warm_up
from analyzer.catalogue import METRICS
from analyzer.central import CentralSettings
from analyzer.claim import Claim
from analyzer.clock import Clock
from analyzer.control import Control
from analyzer.deadman.guard import Guard
from analyzer.delivery import Delivery
from analyzer.intake import Intake
from analyzer.pace import Pace
from analyzer.pipeline import Pipeline
from analyzer.scraper import Scraper
from analyzer.self_telemetry import SelfTelemetry, process_samples
from analyzer.snapshots import Snapshots
from model.metric import Sample
from model.moment import SECOND
from model.settings import ConfigurationError, Problem
from runbooks.run import Result
from telemetry.remote_write import RemoteWriteReceiver

log = logging.getLogger("fleetowl.analyzer")

DRAIN_SECONDS = 5.0
"""How long a graceful stop waits for answers; what is given up is sent again after the next start."""

_BUNCH_SECONDS = 0.02
"""Arrivals come in bunches: the tick that one asks for lets the rest in."""
_GAP_SECONDS = 0.25
"""Between such a tick and the next one: arrivals without end must not mean ticks without end."""

_KEEP_SECONDS = 0.05
"""Between two commits of answers that come one after the other."""

FIXED = (
    "listen",
    "state_directory",
    "database",
    "tick",
    "max_request_size",
    "max_pending_requests",
)
"""Keys of the section analyzer that a reload cannot change."""

FIXED_SECTIONS = ("telemetry", "detectors")
"""Sections that it cannot change either: they shape what is in memory."""


class Analyzer:
    """One analyzer. `load` reads the configuration again for a reload; `version` is shown on /metrics."""

    def __init__(
        self, settings: CentralSettings, load: Callable[[], CentralSettings], version: str = ""
    ) -> None:
        self.clock = Clock()
        self.version = version
        self.started_at = self.clock.now()
        self.plan: Plan = prepare(settings)
        self._claim = Claim(settings.analyzer.state_directory)
        self._claim.take()
        try:
            self.pipeline = assemble(self.plan, self.started_at, time.perf_counter)
            warm_up(self.pipeline.scoring, settings.analyzer.state_directory, time.perf_counter)
        except BaseException:
            self._claim.release()
            raise
        self.pipeline.scoring.jobs.beside(partial(ThreadPoolExecutor, 1, "fits"), time.perf_counter)
        self.reloaded = True
        self._taken_over = asyncio.Event()
        self._reloading = asyncio.Lock()
        self.failures = 0
        self.ticked_at = time.monotonic()
        self.address = settings.analyzer.listen
        self._load = load
        self._token = _read_token(settings)
        self._wake = asyncio.Event()
        self._pace = Pace()
        self._tasks: list[asyncio.Task[None]] = []
        self._keeping: asyncio.TimerHandle | None = None
        self._kept_at = 0.0
        own = settings.analyzer
        self.snapshots = Snapshots(
            self.pipeline, own.state_directory, settings.telemetry.snapshot_interval, self.clock.now
        )
        self.scraper = Scraper(self.pipeline.window, self.clock.now)
        self.delivery = Delivery(Sender(settings.alertmanager), self._answered)
        self.actions = self._new_actions(self.settings)
        self.remote_write = RemoteWriteReceiver(self.pipeline.window, settings.telemetry.remote_write)
        self.overload = Overload(own.max_pending_requests)
        self.guard = Guard(own.dead_man, state=own.state_directory)
        self.telemetry = SelfTelemetry(self.pipeline.window, METRICS, self._samples, lambda: self.address)
        self.posting = PostingApi(self.pipeline, self.clock.now, self.wake)
        self._runner = web.AppRunner(self._application(), access_log=None)

    @property
    def settings(self) -> CentralSettings:
        """The settings in force."""
        return self.plan.settings

    def wake(self) -> None:
        """Ask for a tick at once."""
        self._wake.set()

    async def start(self) -> None:
        """Listen, scrape and tick. Raises ConfigurationError if the address is taken."""
        own = self.settings.analyzer
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, own.host or None, own.port).start()
        except OSError as error:
            await self._runner.cleanup()
            hint = "another process listens there: choose another port"
            problem = Problem(
                "configuration", "analyzer.listen", f"cannot listen on {own.listen}: {error}", hint
            )
            raise ConfigurationError([problem]) from error
        host, port = self._runner.addresses[0][:2]
        self.address = f"{host}:{port}"
        await self.scraper.start(self.settings.scrape_configs)
        self._tasks = [
            asyncio.create_task(self._beat(own.tick), name="tick"),
            asyncio.create_task(self.snapshots.run(), name="snapshots"),
        ]
        self.guard.start(self.clock.now())
        log.info("the analyzer listens on http://%s", self.address)

    async def stop(self) -> None:
        """End gracefully: no new data, the answers that are out, then the state and the window to disk."""
        self.guard.bye()
        await self.scraper.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._runner.cleanup()
        await self.posting.drain()
        await self.delivery.drain(DRAIN_SECONDS)
        await self.actions.stop(DRAIN_SECONDS)
        self.pipeline.keep()
        if self._keeping is not None:
            self._keeping.cancel()
        await self.snapshots.write()
        self.pipeline.scoring.jobs.close()
        self.pipeline.database.close()
        self._claim.release()
        log.info("the analyzer has stopped")

    async def taken_over(self) -> None:
        """Wait for the next reload that succeeds."""
        await self._taken_over.wait()

    async def reload(self) -> str:
        """Swap the configuration, or keep the old one. Raises ConfigurationError with what is wrong.

        Returns a sentence; it names the keys that only a restart can change.
        """
        async with self._reloading:
            return await self._reload()

    async def _reload(self) -> str:
        try:
            settings, kept = replace_fixed(self._load(), self.settings)
            plan = prepare(settings)
            token = _read_token(plan.settings)
        except ConfigurationError as error:
            self.reloaded = False
            log.error("the configuration was not taken over: %s", error)
            raise
        await self.actions.stop(DRAIN_SECONDS)
        self.plan, self._token, self.reloaded = plan, token, True
        self.pipeline.reload(plan.settings, plan.groups, plan.runbooks, self.clock.now())
        self.guard.reconfigure(plan.settings.analyzer.dead_man, self.clock.now())
        self.actions = self._new_actions(plan.settings)
        await self.delivery.replace(Sender(plan.settings.alertmanager))
        await self.scraper.start(plan.settings.scrape_configs)
        self.wake()
        self._taken_over.set()
        self._taken_over = asyncio.Event()
        sentence = "the configuration was taken over"
        if kept:
            sentence += f", but for {', '.join(kept)}: restart for that"
        log.log(logging.WARNING if kept else logging.INFO, "%s", sentence)
        return sentence

    async def _beat(self, interval: int) -> None:
        """Tick at the multiples of the interval (ms), and at once when something woke us.

        Rule groups are due at such multiples: ticks that drift would leave one out now and then. When we are
        woken often the first tick is at once, and the others keep _GAP_SECONDS. While alerts wait, ticks come
        as `Pace` has it, whoever wakes us.
        """
        timer = asyncio.get_running_loop().time
        woken, calm_at = False, timer()
        while True:
            self._wake.clear()
            began = timer()
            try:
                self._tick()
            except Exception:  # the supervisor's boundary: a monitor that stops ticking is blind
                self.failures += 1
                log.exception("a tick failed; the next one is tried all the same")
            if len(self.pipeline.backlog):
                self.pipeline.at_once = self._pace.after(timer() - began, calm=self.posting.calm)
                await asyncio.sleep(min(self._pace.rest, until_next(interval, self.clock.now())))
                woken = True
                continue
            if woken:
                calm_at = timer() + _GAP_SECONDS
            try:
                # Not wait_for: it swallows a cancellation that comes with the wake.
                async with asyncio.timeout(until_next(interval, self.clock.now())):
                    await self._wake.wait()
                woken = True
            except TimeoutError:
                woken = False
                continue
            pause = max(_BUNCH_SECONDS, calm_at - timer())
            await asyncio.sleep(min(pause, until_next(interval, self.clock.now())))

    def _tick(self) -> None:
        now = self.clock.now()
        effects = self.pipeline.step(now)
        self.telemetry.step(now)
        self.delivery.submit(effects.notifications)
        self.actions.submit(effects.intents)
        self.ticked_at = time.monotonic()
        self._still_here(now)

    def _still_here(self, now: int) -> None:
        """Tell the one who watches us, and over its channels which of our peers is silent."""
        self.guard.beat(now)
        news = self.pipeline.peers.news
        if not self.guard.up:
            news.clear()
        while news and self.guard.tell(news[0], now):
            news.pop(0)

    @property
    def silence(self) -> float:
        """Seconds since the last tick that went through."""
        return time.monotonic() - self.ticked_at

    def _answered(self, notification: Notification, outcome: Outcome) -> None:
        self.pipeline.answered(notification, outcome, self.clock.now())
        self._keep_soon()

    def _acted(self, result: Result) -> None:
        self.pipeline.acted(result, self.clock.now())
        self.pipeline.keep()
        self.wake()

    def _keep_soon(self) -> None:
        """Put answers on disk before the loop turns to anything else; in a storm of them, now and then.

        What a crash loses of them is sent again under the same dedup key, as if the answer had been lost on
        its way.
        """
        if self._keeping is None:
            loop = asyncio.get_running_loop()
            at = max(loop.time(), self._kept_at + _KEEP_SECONDS)
            self._keeping = loop.call_at(at, self._keep)
        self.wake()

    def _keep(self) -> None:
        self._keeping = None
        self.pipeline.keep()
        self._kept_at = asyncio.get_running_loop().time()

    def _new_actions(self, settings: CentralSettings) -> Actions:
        return Actions(settings.runbooks, self.pipeline, self.clock.now, self._acted, self.wake)

    def _samples(self) -> Iterator[Sample]:
        now = self.clock.now()
        yield from process_samples(self.version, self.started_at)
        yield from self.pipeline.samples(now)
        for part in (self.scraper, self.remote_write, self.snapshots, self.posting, self.guard):
            yield from part.samples()
        yield Sample("fleetowl_config_last_reload_successful", {}, float(self.reloaded))
        yield Sample("fleetowl_tick_failures_total", {}, self.failures)
        yield Sample("fleetowl_requests_refused_total", {}, self.overload.refused)

    def _application(self) -> web.Application:
        own = self.settings.analyzer
        application = web.Application(
            client_max_size=own.max_request_size,
            middlewares=[require_token(lambda: self._token), self.overload.middleware(), readable],
        )
        intake = Intake(
            self.pipeline.window,
            self.pipeline.frames,
            self.remote_write,
            self.clock.now,
            self.wake,
            self.pipeline.window_end,
        )
        api = Api(lambda: self.pipeline, self.scraper, self.clock.now, self.version)
        control = Control(self)
        for part in (intake, api, control):
            application.add_routes(part.routes())
        alertmanager = self._alertmanager_api()
        application.add_routes(alertmanager)
        in_front = [route for route in control.routes() if route.path.startswith("/-/")]
        application.add_routes(
            under_prefix([*alertmanager, *in_front], lambda: self.settings.alertmanager.external_url)
        )
        return application

    def _alertmanager_api(self) -> list[web.RouteDef]:
        def pipeline() -> Pipeline:
            return self.pipeline

        return mounted(
            (
                StatusApi(pipeline, self.version, self.started_at),
                SilencesApi(pipeline, self.clock.now, self.wake),
                AlertsApi(pipeline, self.clock.now, Turns()),
                self.posting,
            )
        )


def replace_fixed(new: CentralSettings, old: CentralSettings) -> tuple[CentralSettings, list[str]]:
    """The new settings, but with the old values of what only a restart can change; says where they differ."""
    changed = [f"analyzer.{key}" for key in FIXED if getattr(new.analyzer, key) != getattr(old.analyzer, key)]
    changed += [name for name in FIXED_SECTIONS if getattr(new, name) != getattr(old, name)]
    kept = {key: getattr(old.analyzer, key) for key in FIXED}
    sections = {name: getattr(old, name) for name in FIXED_SECTIONS}
    return new.model_copy(update={"analyzer": new.analyzer.model_copy(update=kept), **sections}), changed


def _read_token(settings: CentralSettings) -> str | None:
    try:
        token = settings.analyzer.read_token()
    except OSError as error:
        problem = Problem(
            str(settings.analyzer.token_file), "analyzer.token_file", f"cannot be read: {error}"
        )
        raise ConfigurationError([problem]) from error
    if token == "":
        problem = Problem(
            str(settings.analyzer.token_file or "configuration"),
            "analyzer.token",
            "is empty",
            "write a token into it",
        )
        raise ConfigurationError([problem])
    return token


def until_next(interval: int, now: int) -> float:
    """Seconds from `now` (ms) to just after the next multiple of `interval` (ms).

    >>> until_next(1000, 5250), until_next(1000, 6000)
    (0.751, 1.001)
    """
    return (interval - now % interval + 1) / SECOND
