"""Scrapes its targets, each on its own beat: one that hangs, fails or sends garbage harms no other."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp
from telemetry.ingest import TargetIngest
from telemetry.scrape import ScrapeConfig, ScrapeTarget, targets_of

from model.moment import SECOND
from telemetry.window import Window

log = logging.getLogger("fleetowl.analyzer")

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=1.0.0;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.1"
)
FILE_SD_INTERVAL = 5 * SECOND


class ScrapeFailed(Exception):
    """A scrape that brought nothing usable; the message is the reason."""


@dataclass
class TargetHealth:
    """What is known of a target's last scrape. Times in ms, duration in seconds."""

    target: ScrapeTarget
    up: bool | None = None
    error: str = ""
    scraped_at: int = 0
    duration: float = 0.0


@dataclass
class _Loop:
    health: TargetHealth
    ingest: TargetIngest
    task: asyncio.Task[None] = field(init=False)


class Scraper:
    """Keeps one loop a target and follows the configuration and the file_sd files.

    `now` reads the clock (ms); `scraped` is called after each scrape.
    """

    def __init__(self, window: Window, now: Callable[[], int], scraped: Callable[[], None]) -> None:
        self._window = window
        self._now = now
        self._scraped = scraped
        self._configs: tuple[ScrapeConfig, ...] = ()
        self._loops: dict[str, _Loop] = {}
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._watch: asyncio.Task[None] | None = None

    def health(self) -> Iterator[TargetHealth]:
        """Every target with its last scrape."""
        return (loop.health for loop in self._loops.values())

    async def start(self, configs: Sequence[ScrapeConfig]) -> None:
        """Scrape what `configs` name from now on, and nothing else."""
        self._configs = tuple(configs)
        await self._close_sessions()
        self._sessions = {config.job_name: _session(config) for config in self._configs}
        for key in list(self._loops):
            await self._end(key)
        await self._follow()
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_files())

    async def stop(self) -> None:
        """End all loops. The series keep their last samples: a stop is no outage of the targets."""
        if self._watch is not None:
            await _cancel(self._watch)
            self._watch = None
        for key in list(self._loops):
            await self._end(key)
        await self._close_sessions()

    async def _watch_files(self) -> None:
        while True:
            await asyncio.sleep(FILE_SD_INTERVAL / SECOND)
            if any(config.file_sd_configs for config in self._configs):
                await self._follow()

    async def _follow(self) -> None:
        """Start the loops of new targets; end those of targets that are gone and mark their series stale."""
        wanted: dict[str, tuple[ScrapeConfig, ScrapeTarget]] = {}
        for config in self._configs:
            for target in targets_of(config):
                wanted[f"{config.job_name} {target.url} {target.labels!r}"] = (config, target)
        for key in self._loops.keys() - wanted.keys():
            loop = self._loops[key]
            await self._end(key)
            loop.ingest.retire(self._now())
        for key in wanted.keys() - self._loops.keys():
            config, target = wanted[key]
            self._begin(key, config, target)

    def _begin(self, key: str, config: ScrapeConfig, target: ScrapeTarget) -> None:
        loop = _Loop(TargetHealth(target), TargetIngest(self._window, key, target, config))
        self._loops[key] = loop
        loop.task = asyncio.create_task(self._beat(key, loop, config), name=f"scrape {target.url}")

    async def _end(self, key: str) -> None:
        await _cancel(self._loops.pop(key).task)

    async def _beat(self, key: str, loop: _Loop, config: ScrapeConfig) -> None:
        """Scrape at a fixed beat of the monotonic clock, each target at its own offset (as Prometheus)."""
        interval = config.scrape_interval / SECOND
        digest = hashlib.md5(key.encode(), usedforsecurity=False).digest()
        due = time.monotonic() + int.from_bytes(digest[:4]) / 2**32 * min(interval, 1.0)
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._scrape(loop, config)
            missed = max(0, int((time.monotonic() - due) / interval))
            due += (missed + 1) * interval

    async def _scrape(self, loop: _Loop, config: ScrapeConfig) -> None:
        health, at, began = loop.health, self._now(), time.perf_counter()
        try:
            body = await self._fetch(config, health.target)
            duration = time.perf_counter() - began
            result = loop.ingest.ingest(body, at, duration)
            reason = "" if result.ok else result.reason
        except ScrapeFailed as error:
            duration, reason = time.perf_counter() - began, str(error)
            loop.ingest.fail(at, duration)
        if reason != health.error:
            log.warning("%s: %s", health.target.url, reason or "is up again")
        health.up, health.error, health.scraped_at, health.duration = not reason, reason, at, duration
        self._scraped()

    async def _fetch(self, config: ScrapeConfig, target: ScrapeTarget) -> bytes:
        try:
            return await _get(self._sessions[config.job_name], config, target)
        except TimeoutError as error:
            seconds = config.scrape_timeout / SECOND
            raise ScrapeFailed(f"no complete answer within {seconds:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ScrapeFailed(str(error) or type(error).__name__) from error

    async def _close_sessions(self) -> None:
        for session in self._sessions.values():
            await session.close()


async def _get(session: aiohttp.ClientSession, config: ScrapeConfig, target: ScrapeTarget) -> bytes:
    async with session.get(target.url, headers=_headers(config)) as response:
        if response.status != 200:
            raise ScrapeFailed(f"the target answered {response.status} {response.reason}")
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > config.body_size_limit:
                raise ScrapeFailed(
                    f"the body is larger than body_size_limit ({config.body_size_limit} bytes)"
                )
        return bytes(body)


def _session(config: ScrapeConfig) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(ssl=config.ssl_context() or True, limit=0)
    timeout = aiohttp.ClientTimeout(total=config.scrape_timeout / SECOND)
    return aiohttp.ClientSession(connector=connector, timeout=timeout)


def _headers(config: ScrapeConfig) -> Mapping[str, str]:
    try:
        return {"Accept": ACCEPT, **config.request_headers()}
    except OSError as error:
        raise ScrapeFailed(f"cannot read the credentials: {error}") from error


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
