"""The scrape of one local serving engine or application: what its page says, or a word for why not."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from agent.engines.budget import NodeBudget
from agent.engines.fetch import Fetcher, FetchFailed
from agent.engines.page import Page, PageReader, ScrapeFailed
from agent.engines.settings import EngineSettings
from model.metric import Metric

FAILURES = "fleetowl_agent_scrape_failures_total"
REFUSED = "fleetowl_agent_scrape_samples_refused_total"
METRICS = (
    Metric("up", "gauge", "1 if the last scrape of this target succeeded, else 0."),
    Metric("scrape_duration_seconds", "gauge", "How long the last scrape of this target took."),
    Metric("scrape_samples_scraped", "gauge", "Samples that the last scrape of this target brought."),
    Metric(
        FAILURES,
        "counter",
        "Failed scrapes of a local engine by reason: connection, timeout, status, too_large or malformed.",
        ("job", "instance", "reason"),
    ),
    Metric(
        REFUSED,
        "counter",
        "Samples of a local engine that were left out, by the limit or rule that they broke.",
        ("job", "instance", "reason"),
    ),
)

# No compression: over loopback it costs more than it saves, and a small body could hide a huge one.
_HEADERS = {
    "Accept": "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.9,*/*;q=0.1",
    "Accept-Encoding": "identity",
}
_UNAVAILABLE = 503


@dataclass(slots=True)
class ScrapeStats:
    """Counts since the agent began."""

    failures: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Scraper:
    """Fetches and decodes the page of one target."""

    def __init__(
        self, settings: EngineSettings, fetcher: Fetcher, timeout: int, budget: NodeBudget | None = None
    ) -> None:
        self.reader = PageReader(settings, budget)
        self.stats = ScrapeStats(refused=self.reader.refused)
        self.timeout = timeout
        self._settings = settings
        self._fetcher = fetcher

    @property
    def types(self) -> dict[str, str]:
        """The types that the page declares."""
        return self.reader.types

    async def scrape(self) -> Page:
        """Raises FetchFailed or ScrapeFailed; it is counted."""
        try:
            return await self._scrape()
        except FetchFailed as failure:
            self.stats.failures[failure.kind] += 1
            raise

    def close(self) -> None:
        """End the connection."""
        self._fetcher.close()
        self.reader.close()

    async def _scrape(self) -> Page:
        if self.reader.busy:
            raise ScrapeFailed("timeout", "its page before is still being read")
        clock = asyncio.get_running_loop().time
        began = clock()
        answer = await self._fetcher.get(_HEADERS, self._settings.body_size_limit, self.timeout)
        if answer.status != 200:
            raise ScrapeFailed("status", f"it answered {answer.status}", answer.status == _UNAVAILABLE)
        if answer.headers.get("content-encoding", "identity") != "identity":
            raise ScrapeFailed("malformed", "it compressed its answer unasked")
        left = max(self.timeout / 1000 - (clock() - began), 0.0)
        return await self.reader.read(answer.body, answer.headers.get("content-type", ""), left)
