"""The scrape of one local serving engine or application: what its page says, or a word for why not."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from agent.engines.fetch import Fetcher, FetchFailed
from agent.engines.limit import cut
from agent.engines.names import reserved
from agent.engines.settings import EngineSettings
from model.labels import Labels
from model.metric import Metric
from wire.text import MalformedExposition, TextDecoder, TextLimits

log = logging.getLogger("fleetowl.agent")

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
_KEEP_SCRAPES = (
    10  # for which a series unseen is remembered: what changes its series all the time stays small
)
_UNAVAILABLE = 503


class ScrapeFailed(FetchFailed):
    """It answered, but no page: `status`, with the status itself, or `malformed`."""

    def __init__(self, kind: str, why: str, status: int = 0) -> None:
        super().__init__(kind, why)
        self.unavailable = status == _UNAVAILABLE


@dataclass(frozen=True, slots=True)
class Page:
    """What one scrape brought. Aligned; `series` is the same object while the series are the same."""

    series: Sequence[Labels]
    values: list[float]
    refused: int
    """Samples left out by the limit."""


@dataclass(slots=True)
class ScrapeStats:
    """Counts since the agent began."""

    failures: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)


class Scraper:
    """Fetches and decodes the page of one target."""

    def __init__(self, settings: EngineSettings, fetcher: Fetcher, timeout: int) -> None:
        self.stats = ScrapeStats()
        self.timeout = timeout
        self._settings = settings
        self._fetcher = fetcher
        self._decoder = TextDecoder(
            TextLimits(samples=settings.sample_limit, keep_scrapes=_KEEP_SCRAPES), repeats=True
        )
        self._ids: list[int] = []
        self._generation = -1
        self._series: list[Labels] = []
        self._allowed: list[int] | None = None
        self._reserved = ""

    @property
    def types(self) -> dict[str, str]:
        """The types that the page declares."""
        trusted = self._settings.trusted
        return {name: kind for name, kind in self._decoder.types.items() if not reserved(name, trusted)}

    async def scrape(self) -> Page:
        """Raises FetchFailed or ScrapeFailed; it is counted."""
        try:
            answer = await self._fetcher.get(_HEADERS, self._settings.body_size_limit, self.timeout)
            if answer.status != 200:
                raise ScrapeFailed("status", f"it answered {answer.status}", answer.status)
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise ScrapeFailed("malformed", "it compressed its answer unasked")
            return self._page(answer.body, answer.headers.get("content-type", ""))
        except FetchFailed as failure:
            self.stats.failures[failure.kind] += 1
            raise

    def close(self) -> None:
        """End the connection."""
        self._fetcher.close()

    def _page(self, body: bytes, content_type: str) -> Page:
        body, refused = cut(body, self._settings.sample_limit)
        try:
            found = self._decoder.decode(body, content_type)
        except MalformedExposition as error:
            raise ScrapeFailed("malformed", f"it is no metrics page: {error}") from error
        self.stats.refused.update(found.refused)
        if refused:
            self.stats.refused["sample_limit"] += refused
        # Mostly the series are those of the scrape before; then their label sets are reused as they are.
        if found.ids != self._ids or found.generation != self._generation:
            self._ids, self._generation = found.ids, found.generation
            self._see([self._decoder.labels[local] for local in found.ids])
        if self._allowed is None:
            return Page(self._series, found.values, refused)
        self.stats.refused["reserved_name"] += len(found.values) - len(self._allowed)
        return Page(self._series, [found.values[row] for row in self._allowed], refused)

    def _see(self, series: list[Labels]) -> None:
        """Take the series of a page that shows others than before, but for names that are not its own."""
        trusted = self._settings.trusted
        allowed = [row for row, labels in enumerate(series) if not reserved(labels.name, trusted)]
        whole = len(allowed) == len(series)
        self._series = series if whole else [series[row] for row in allowed]
        self._allowed = None if whole else allowed
        self._say(next((labels.name for labels in series if reserved(labels.name, trusted)), ""))

    def _say(self, name: str) -> None:
        """One line in the log when it begins to show such names, and one when it ends."""
        if name and not self._reserved:
            log.warning(
                "%s shows names that are not its own, such as %s: they are left out%s",
                self._settings.url,
                name,
                "" if self._settings.trusted else "; an exporter belongs in agent.engines",
            )
        elif self._reserved and not name:
            log.info("%s shows no names any more that are not its own", self._settings.url)
        self._reserved = name
