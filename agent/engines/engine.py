"""One local engine as a source of readings: its page, passed through, and what the agent derives from it."""

from __future__ import annotations

import asyncio
import logging
import time
from array import array
from collections.abc import Callable, Iterable, Sequence
from urllib.parse import urlsplit

from agent.engines import inventory, probe, progress, scrape, start
from agent.engines.budget import NodeBudget
from agent.engines.digest import Digest, digest
from agent.engines.fetch import Fetcher, FetchFailed
from agent.engines.inventory import Inventory, adapters
from agent.engines.kinds import kind_named, kind_of_job
from agent.engines.page import ENGINE_SERIES, SAMPLE_LIMIT, Page, ScrapeFailed
from agent.engines.probes import Probes
from agent.engines.progress import Progress
from agent.engines.scrape import Scraper
from agent.engines.settings import EngineSettings
from agent.engines.start import ColdStart
from agent.http.session import SessionOf
from agent.reading import Naming, Reading
from model.labels import Labels
from model.metric import Metric, Sample
from wire.target_labels import with_target_labels

log = logging.getLogger("fleetowl.agent")

STATUS = "fleetowl_engine_status"
METRICS = (
    Metric(
        STATUS,
        "gauge",
        "Always 1; the state of a local engine: up, limited (its page has too many series; the reason is the "
        "setting that says so), starting (it answers, and was not ready yet) or down, and why.",
        ("job", "instance", "state", "reason"),
    ),
    *scrape.METRICS,
    *probe.METRICS,
    *progress.METRICS,
    *start.METRICS,
    *inventory.METRICS,
)
"""Everything that is exported about an engine beside its own page."""

_OF_THE_AGENT = (scrape.FAILURES, scrape.REFUSED)
_TYPES = {metric.name: metric.type for metric in METRICS if metric.name not in _OF_THE_AGENT}
_NONE = Labels()


class Engine:
    """One scraped endpoint. Every series gets its job, instance and node; failures are series too.

    `clock` is unixtime, `timer` never runs backwards, both in seconds; `started` is when its container
    began, where that is known.
    """

    def __init__(
        self,
        settings: EngineSettings,
        node: str,
        interval: int,
        session: SessionOf,
        exported: bool = True,
        timer: Callable[[], float] = time.monotonic,
        started: float | None = None,
        budget: NodeBudget | None = None,
    ) -> None:
        self.settings = settings
        self.interval = interval
        self.exported = exported
        self.reason = ""
        """Why the last scrape failed, empty if it did not."""
        instance = settings.instance or urlsplit(settings.url).netloc.rpartition("@")[2]
        self.target = Labels({**settings.labels, "job": settings.job, "instance": instance, "node": node})
        self.start = ColdStart(started)
        self.probes = Probes(settings, str(self), session, lambda: bool(self._failure), timer)
        fetcher = Fetcher(settings.url, settings, session)
        self.scraper = Scraper(settings, fetcher, settings.timeout_within(interval), budget)
        self._timer = timer
        self._naming = Naming(self.target)
        self._kind = kind_named(settings.kind) or kind_of_job(settings.job)
        self._digest = Digest()
        self._models: tuple[str, ...] = ()
        self._progress = Progress()
        self._inventory = Inventory()
        self._page_series: Sequence[Labels] = ()
        self._named: list[Labels] = []
        self._joined: tuple[Sequence[Labels], Sequence[Labels]] = ((), ())
        self._series: list[Labels] = []
        self._types: dict[str, str] = _TYPES
        self._scraped_before = False
        self._failure = ""
        self._status_reason = ""
        self._seconds = 0.0
        self._attempt: asyncio.Task[Reading] | None = None

    def __str__(self) -> str:
        return f"{self.target['job']} at {self.target['instance']}"

    def metrics(self) -> Iterable[Metric]:
        """Those that the agent adds; the page's own are declared by the types that it gives them."""
        return METRICS

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
        """Give up what is under way."""
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.gather(self._attempt, return_exceptions=True)
        await self.probes.close()
        self.scraper.close()

    async def scrape(self, at: int) -> Reading:
        """One scrape as of `at` (ms). Failures become `up` 0 and a reason; nothing is raised."""
        self.probes.begin(self._kind)
        began = self._timer()
        try:
            page = await self.scraper.scrape()
        except FetchFailed as failure:
            self._seconds = self._timer() - began
            self._note(failure.kind, str(failure))
            self._follow_failure(failure, at)
            return self._down(at)
        self._seconds = self._timer() - began
        self._take(page)
        self._note(page.limit, _too_many(page))
        self._follow_page(page, at)
        return self._up(page, at)

    def samples(self) -> list[Sample]:
        """What this engine's scrapes counted, for the agent's own series."""
        here = {"job": self.target["job"], "instance": self.target["instance"]}
        stats = self.scraper.stats
        return [
            Sample(name, Labels({**here, "reason": reason}), float(count))
            for name, counts in ((scrape.FAILURES, stats.failures), (scrape.REFUSED, stats.refused))
            for reason, count in counts.items()
        ]

    # What a scrape means for the rest.

    def _take(self, page: Page) -> None:
        """Look up what is on the page, if it shows other series than the one before."""
        if page.series is self._page_series:
            return
        self._page_series = page.series
        self._named = [with_target_labels(labels, self.target) for labels in page.series]
        self._digest = digest(page.series)
        self._models = self._digest.models or self._models
        self._types = {**self.scraper.types, **_TYPES}
        if not self.settings.kind and self._digest.kind is not None:
            self._kind = self._digest.kind

    def _follow_page(self, page: Page, at: int) -> None:
        now, row = at / 1000, self._digest.process_start
        self.start.scraped(now, page.values[row] if row is not None else None)
        ready = self.probes.ready()
        if ready:
            self.start.ready(now)
        elif ready is not None:
            self.start.not_ready(now, self._digest.has_served(page.values))
        self.probes.ask_version(self._kind)

    def _follow_failure(self, failure: FetchFailed, at: int) -> None:
        if failure.refused:
            self.start.refused(at / 1000)
            self.probes.forget()
        elif isinstance(failure, ScrapeFailed) and failure.unavailable:
            self.start.not_ready(at / 1000)

    # Readings.

    def _up(self, page: Page, at: int) -> Reading:
        own = [
            Sample("up", _NONE, 1.0),
            Sample("scrape_samples_scraped", _NONE, float(len(page.series))),
            *self._progress.step(self._timer(), self._digest, page.values),
            *adapters(self._digest, page.values),
            *self._always(at),
        ]
        reading = self._naming.reading(own, _TYPES, at)
        if self._joined[0] is not self._named or self._joined[1] is not reading.series:
            self._joined = (self._named, reading.series)
            self._series = [*self._named, *reading.series]
        values = array("d", page.values)
        values.extend(reading.values)
        return Reading(at, self._series, values, self._types)

    def _down(self, at: int) -> Reading:
        own = [
            Sample("up", _NONE, 0.0),
            Sample("scrape_samples_scraped", _NONE, 0.0),
            *self._always(at),
        ]
        reading = self._naming.reading(own, _TYPES, at)
        return Reading(at, reading.series, reading.values, _TYPES)

    def _always(self, at: int) -> Iterable[Sample]:
        """What is said whether or not the scrape brought something."""
        yield Sample("scrape_duration_seconds", _NONE, self._seconds)
        yield Sample(STATUS, self._status(), 1.0)
        kind = self._kind.name if self._kind is not None else ""
        yield from self._inventory.samples(kind, self.probes.version, self._models)
        yield from self.start.samples(at / 1000, self._models[0] if self._models else "")
        yield from self.probes.samples()

    def _status(self) -> Labels:
        state = "up"
        if self._failure:
            state = "starting" if self.start.answering else "down"
        elif self.reason:
            state = "limited"
        return Labels({"state": state, "reason": self._status_reason})

    def _note(self, kind: str, why: str) -> None:
        """One line in the log for each change, not for each scrape nor for each spelling of one reason."""
        limited = kind in (SAMPLE_LIMIT, ENGINE_SERIES)
        self._failure = "" if limited else kind
        self.reason = why
        if kind == self._status_reason and self._scraped_before:
            return
        if limited:
            log.warning("%s shows too many series: %s", self, why)
        elif kind:
            log.warning("the scrape of %s fails: %s", self, why)
        elif self._scraped_before:
            log.info("the scrape of %s works again", self)
        self._status_reason, self._scraped_before = kind, True


def _too_many(page: Page) -> str:
    if not page.refused:
        return ""
    count = len(page.series)
    return f"{count} of {count + page.refused} are taken, those of serving first ({page.limit})"
