"""Scrapes its targets, each on its own beat: one that hangs, fails or sends garbage harms no other."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp

from model.labels import Labels
from model.metric import Sample
from model.moment import SECOND
from telemetry.file_sd import FileDiscovery
from telemetry.ingest import IngestStats, TargetIngest
from telemetry.scrape import ScrapeConfig, ScrapeTarget, dropped_of, targets_of
from telemetry.window import Window

log = logging.getLogger("fleetowl.analyzer")

ACCEPT = "text/plain;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.4,*/*;q=0.1"
FILES_INTERVAL = 5 * SECOND
"""Longest time between two looks at the target files; `refresh_interval` may ask for less."""


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
class _Job:
    config: ScrapeConfig
    session: aiohttp.ClientSession
    files: FileDiscovery
    problems: list[str] = field(default_factory=list)


@dataclass
class _Loop:
    job: _Job
    health: TargetHealth
    ingest: TargetIngest
    task: asyncio.Task[None] | None = None


class Scraper:
    """Keeps one loop a target and follows the configuration and the target files.

    `now` reads the clock (ms).
    """

    def __init__(self, window: Window, now: Callable[[], int]) -> None:
        self._window = window
        self._now = now
        self._stats = IngestStats()
        self._jobs: list[_Job] = []
        self._loops: dict[str, _Loop] = {}
        self._watch: asyncio.Task[None] | None = None

    def health(self) -> Iterator[TargetHealth]:
        """Every target with its last scrape."""
        return (loop.health for loop in self._loops.values())

    def dropped(self) -> Iterator[tuple[str, Labels]]:
        """Job and discovered labels of what relabelling drops."""
        for job in self._jobs:
            for labels in dropped_of(job.config, job.files.groups):
                yield job.config.job_name, labels

    def sources(self) -> list[tuple[ScrapeTarget, TargetIngest]]:
        """Every target with what takes its answers in, which knows its metadata."""
        return [(loop.health.target, loop.ingest) for loop in self._loops.values()]

    def samples(self) -> Iterator[Sample]:
        """Own metrics, as telemetry.ingest declares them."""
        return self._stats.samples()

    async def start(self, configs: Sequence[ScrapeConfig]) -> None:
        """Scrape what `configs` name from now on, and nothing else; what stays keeps its history."""
        previous, self._jobs = self._jobs, [_job(config) for config in configs]
        wanted = {target.key for _, target in self._wanted()}
        for key in list(self._loops):
            await self._end(key, leave=key not in wanted)
        for job in previous:
            await job.session.close()
        self._follow()
        if self._watch is None:
            self._watch = asyncio.create_task(self._watch_files(), name="target files")

    async def stop(self) -> None:
        """End all loops. The series keep their last samples: a stop of ours is no outage of the targets."""
        if self._watch is not None:
            await _cancel(self._watch)
            self._watch = None
        for key in list(self._loops):
            await self._end(key, leave=False)
        for job in self._jobs:
            await job.session.close()

    async def _watch_files(self) -> None:
        while True:
            asked = [sd.refresh_interval for job in self._jobs for sd in job.config.file_sd_configs]
            await asyncio.sleep(min([FILES_INTERVAL, *asked]) / SECOND)
            try:
                await self._refresh()
            except Exception:  # the supervisor's boundary: target files must go on being watched
                log.exception("the target files could not be followed; trying again")

    async def _refresh(self) -> None:
        changed = [job.files.refresh() for job in self._jobs if job.config.file_sd_configs]
        if any(changed):
            for key in self._loops.keys() - {target.key for _, target in self._wanted()}:
                await self._end(key, leave=True)
            self._follow()

    def _wanted(self) -> Iterator[tuple[_Job, ScrapeTarget]]:
        for job in self._jobs:
            targets, problems = targets_of(job.config, job.files.groups)
            problems += job.files.problems.values()
            for problem in problems:
                if problem not in job.problems:
                    log.warning("%s", problem)
            job.problems = problems
            for target in targets:
                yield job, target

    def _follow(self) -> None:
        for job, target in self._wanted():
            if target.key not in self._loops:
                ingest = TargetIngest(
                    self._window,
                    target.key,
                    target.interval,
                    target.labels,
                    job.config,
                    self._stats,
                )
                loop = self._loops[target.key] = _Loop(job, TargetHealth(target), ingest)
                loop.task = asyncio.create_task(self._beat(loop), name=f"scrape {target.url}")

    async def _end(self, key: str, *, leave: bool) -> None:
        loop = self._loops.pop(key, None)
        if loop is None:
            return
        if loop.task is not None:
            await _cancel(loop.task)
        if leave:
            loop.ingest.leave(self._now())

    async def _beat(self, loop: _Loop) -> None:
        """Scrape at a fixed beat of the monotonic clock, each target at its own offset (as Prometheus)."""
        target = loop.health.target
        interval = target.interval / SECOND
        digest = hashlib.md5(target.key.encode(), usedforsecurity=False).digest()
        due = time.monotonic() + int.from_bytes(digest[:4], "big") / 2**32 * min(interval, 1.0)
        while True:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await self._scrape(loop)
            missed = max(0, int((time.monotonic() - due) / interval))
            due += (missed + 1) * interval

    async def _scrape(self, loop: _Loop) -> None:
        try:
            await self._scrape_once(loop)
        except Exception as error:  # the supervisor's boundary: a loop that died would never scrape again
            message = f"{type(error).__name__}: {error}"
            if message != loop.health.error:
                log.exception("%s: the scrape failed", loop.health.target.url)
            loop.health.up, loop.health.error, loop.health.scraped_at = False, message, self._now()

    async def _scrape_once(self, loop: _Loop) -> None:
        health, at, began = loop.health, self._now(), time.perf_counter()
        self._window.advance(at)
        try:
            body, content_type = await _fetch(loop.job, health.target)
            took = time.perf_counter() - began
            result = loop.ingest.ingest(body, at, took, content_type)
        except ScrapeFailed as error:
            took = time.perf_counter() - began
            result = loop.ingest.fail(at, str(error), took)
        if result.reason != health.error:
            log.warning("%s: %s", health.target.url, result.reason or "is up again")
        health.up, health.error = result.up, result.reason
        health.scraped_at, health.duration = at, took


async def _fetch(job: _Job, target: ScrapeTarget) -> tuple[bytes, str]:
    """Body and content type. Raises ScrapeFailed."""
    try:
        headers = {"Accept": ACCEPT, **job.config.request_headers()}
    except OSError as error:
        raise ScrapeFailed(f"cannot read the credentials: {error}") from error
    timeout = aiohttp.ClientTimeout(total=target.timeout / SECOND)
    try:
        async with job.session.get(
            target.url,
            headers=headers,
            timeout=timeout,
            allow_redirects=job.config.follow_redirects,
            server_hostname=job.config.tls_config.server_name or None,
        ) as response:
            if response.status != 200:
                raise ScrapeFailed(f"the target answered {response.status} {response.reason}")
            body = await _read(response, job.config.body_size_limit)
            return body, response.headers.get("Content-Type", "")
    except TimeoutError as error:
        raise ScrapeFailed(f"no complete answer within {target.timeout / SECOND:g} s") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: what is no host name
        raise ScrapeFailed(str(error) or type(error).__name__) from error


async def _read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise ScrapeFailed(f"the body is larger than body_size_limit ({limit} bytes)")
    return bytes(body)


def _job(config: ScrapeConfig) -> _Job:
    files = FileDiscovery(config.file_sd_configs)
    files.refresh()
    try:
        context: ssl.SSLContext | bool = config.ssl_context() if config.scheme == "https" else True
    except (OSError, ssl.SSLError) as error:
        log.error("job %s: TLS files cannot be used: %s; its scrapes will fail", config.job_name, error)
        context = True
    headers = {"Accept-Encoding": "gzip"} if config.enable_compression else {"Accept-Encoding": "identity"}
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    return _Job(config, aiohttp.ClientSession(connector=connector, headers=headers), files)


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
