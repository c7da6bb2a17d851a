"""The scrape of one local serving engine or application; what it answers harms nobody else."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import aiohttp

from agent.client import TLS, why
from agent.engines.settings import EngineSettings
from agent.reading import Reading
from model.labels import NAME, Labels
from model.metric import Metric, Sample
from wire.target_labels import with_target_labels
from wire.text import Exposition, MalformedExposition, TextDecoder

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric("up", "gauge", "1 if the last scrape of this target succeeded, else 0."),
    Metric("scrape_duration_seconds", "gauge", "How long the last scrape of this target took."),
    Metric("scrape_samples_scraped", "gauge", "Samples that the last scrape of this target brought."),
    Metric(
        "fleetowl_agent_scrape_failures_total",
        "counter",
        "Failed scrapes of a local engine by reason: connection, timeout, status, too_large or malformed.",
        ("job", "instance", "reason"),
    ),
    Metric(
        "fleetowl_agent_scrape_samples_refused_total",
        "counter",
        "Samples of a local engine that were left out, by the limit or rule that they broke.",
        ("job", "instance", "reason"),
    ),
)

_SYNTHETIC = {"up": "gauge", "scrape_duration_seconds": "gauge", "scrape_samples_scraped": "gauge"}
# No compression: over loopback it costs more than it saves, and a small body could hide a huge one.
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "identity",
}
_CHUNK = 256 * 1024


class ScrapeFailed(Exception):
    """The scrape brought nothing. `kind` is a word for a metric's label, the text is for people."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


@dataclass(slots=True)
class ScrapeStats:
    """Counts since the agent began."""

    failures: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)


class Engine:
    """One scraped endpoint: fetches, decodes, and gives every series its job, instance and node."""

    def __init__(
        self,
        settings: EngineSettings,
        node: str,
        interval: int,
        session: Callable[[], aiohttp.ClientSession],
        exported: bool = True,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.interval = interval
        self.exported = exported
        self.timeout = settings.timeout_within(interval)
        self.stats = ScrapeStats()
        self.reason = ""
        """Why the last scrape failed, empty if it did not."""
        instance = settings.instance or urlsplit(settings.url).netloc.rpartition("@")[2]
        self.target = {**settings.labels, "job": settings.job, "instance": instance, "node": node}
        self._session = session
        self._timer = timer
        self._decoder = TextDecoder()
        self._types: Mapping[str, str] = _SYNTHETIC
        self._ids: list[int] = []
        self._generation = -1
        self._series: list[Labels] = []
        self._synthetic = [Labels({**self.target, NAME: name}) for name in _SYNTHETIC]
        self._scraped_before = False
        self._failure = ""
        self._seconds = 0.0
        self._attempt: asyncio.Task[Reading] | None = None
        self._tls = TLS(settings, settings.url)

    def __str__(self) -> str:
        return f"{self.target['job']} at {self.target['instance']}"

    def metrics(self) -> Iterable[Metric]:
        """None of ours: its families are declared by the types that its page gives them."""
        return ()

    async def read(self, at: int) -> Reading:
        """A scrape for the frame of `at` (ms), without keeping the host and the other engines waiting twice.

        After a scrape that timed out the next ones run behind the scenes, and the engine counts as down
        until one of them has come through.
        """
        if self._failure != "timeout":
            return await self.scrape(at)
        if self._attempt is None or self._attempt.done():
            self._attempt = asyncio.create_task(self.scrape(at))
        return self._down(at)

    async def close(self) -> None:
        """Give up a scrape that is under way."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.gather(self._attempt, return_exceptions=True)

    async def scrape(self, at: int) -> Reading:
        """One scrape as of `at` (ms). Failures become `up` 0 and a reason; nothing is raised."""
        started = self._timer()
        try:
            body, content_type = await self._fetch()
            found = self._decode(body, content_type)
        except ScrapeFailed as failure:
            self._note(str(failure))
            self.stats.failures[failure.kind] = self.stats.failures.get(failure.kind, 0) + 1
            self._failure, self._seconds = failure.kind, self._timer() - started
            return self._down(at)
        self._note("")
        self._failure, self._seconds = "", self._timer() - started
        return self._reading(found, at)

    def samples(self) -> list[Sample]:
        """What this engine's scrapes counted."""
        here = {"job": self.target["job"], "instance": self.target["instance"]}
        return [
            Sample(name, Labels({**here, "reason": reason}), float(count))
            for name, counts in (
                ("fleetowl_agent_scrape_failures_total", self.stats.failures),
                ("fleetowl_agent_scrape_samples_refused_total", self.stats.refused),
            )
            for reason, count in counts.items()
        ]

    async def _fetch(self) -> tuple[bytes, str]:
        try:
            async with asyncio.timeout(self.timeout / 1000):
                return await self._get()
        except TimeoutError as error:
            raise ScrapeFailed("timeout", f"no answer within {self.timeout} ms") from error
        # OSError: refused, reset, or a file of credentials that cannot be read. ValueError: an engine may
        # redirect to what is no host name at all.
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ScrapeFailed("connection", why(error)) from error

    async def _get(self) -> tuple[bytes, str]:
        headers = {**_HEADERS, **self.settings.request_headers()}
        async with self._session().get(
            self.settings.url,
            headers=headers,
            ssl=self._tls.context(),
            server_hostname=self._tls.server_hostname,
            allow_redirects=self.settings.follow_redirects,
        ) as answer:
            if answer.status != 200:
                raise ScrapeFailed("status", f"it answered {answer.status}")
            if answer.headers.get("Content-Encoding", "identity") != "identity":
                raise ScrapeFailed("malformed", "it compressed its answer unasked")
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > self.settings.body_size_limit:
                    limit = self.settings.body_size_limit
                    raise ScrapeFailed("too_large", f"its answer is larger than {limit} bytes")
            return bytes(body), answer.headers.get("Content-Type", "")

    def _decode(self, body: bytes, content_type: str) -> Exposition:
        try:
            found = self._decoder.decode(body, content_type)
        except MalformedExposition as error:
            raise ScrapeFailed("malformed", f"it is no metrics page: {error}") from error
        for reason, count in found.refused.items():
            self.stats.refused[reason] = self.stats.refused.get(reason, 0) + count
        return found

    def _down(self, at: int) -> Reading:
        return Reading(at, self._synthetic, [0.0, self._seconds, 0.0], _SYNTHETIC)

    def _reading(self, found: Exposition, at: int) -> Reading:
        # Mostly the series are those of the scrape before; then their label sets are reused as they are.
        if found.ids != self._ids or found.generation != self._generation:
            self._ids, self._generation = found.ids, found.generation
            own = [with_target_labels(self._decoder.labels[local], self.target) for local in found.ids]
            self._series = [*own, *self._synthetic]
            self._types = {**self._decoder.types, **_SYNTHETIC}
        values = [*found.values, 1.0, self._seconds, float(len(found.ids))]
        return Reading(at, self._series, values, self._types)

    def _note(self, reason: str) -> None:
        """One line in the log for each change, not for each scrape."""
        if reason == self.reason and self._scraped_before:
            return
        if reason:
            log.warning("the scrape of %s fails: %s", self, reason)
        elif self._scraped_before:
            log.info("the scrape of %s works again", self)
        self.reason, self._scraped_before = reason, True
