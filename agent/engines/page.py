"""An engine's page as series: within its limits, without names that are not its own.

Anybody who may make a pod can have any page scraped, so reading it must not cost the others their beat: what
is large or was slow the last time is read in a thread, with the rest of the scrape's timeout.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from agent.engines.budget import NodeBudget
from agent.engines.fetch import FetchFailed
from agent.engines.limit import cut
from agent.engines.names import reserved
from agent.engines.settings import EngineSettings
from agent.worker import DeadlinePassed, Worker
from model.labels import Labels
from wire.text import Exposition, MalformedExposition, TextDecoder, TextLimits

log = logging.getLogger("fleetowl.agent")

SAMPLE_LIMIT, ENGINE_SERIES = "sample_limit", "engine_series"
"""The settings that limit a page."""

_KIB = 1024
_COMMENT_BYTES = 128 * _KIB  # ten times what vLLM's page has
_KEEP_SCRAPES = (
    10  # for which a series unseen is remembered: what changes its series all the time stays small
)
_ALWAYS_ASIDE = 1024 * _KIB
"""A larger page is read in a thread."""

_NEVER_ASIDE = 64 * _KIB
"""A smaller one is not: at its worst it takes 50 ms, mostly less than a thread takes to begin."""

_SLOW_SECONDS = 0.02
"""A page between the two that took so long the last time is read in a thread."""


_SPARE_SERIES = 1000
"""So many are remembered beyond twice the limit."""

_Decoded = tuple[Exposition | MalformedExposition, int]
"""What was read, and how many samples were left out; what went wrong is no exception in a thread."""


class ScrapeFailed(FetchFailed):
    """It answered, but no page: `status`, `malformed`, or a `timeout` in reading it."""

    def __init__(self, kind: str, why: str, unavailable: bool = False) -> None:
        super().__init__(kind, why)
        self.unavailable = unavailable
        """Whether it said that it will be there later."""


@dataclass(frozen=True, slots=True)
class Page:
    """What one scrape brought. Aligned; `series` is the same object while the series are the same."""

    series: Sequence[Labels]
    values: list[float]
    refused: int = 0
    """Samples left out by a limit."""
    limit: str = ""
    """The setting that left them out."""


class PageReader:
    """Reads the pages of one target, one at a time. What it leaves out is counted in `refused` by reason."""

    def __init__(self, settings: EngineSettings, budget: NodeBudget | None = None) -> None:
        self.refused: Counter[str] = Counter()
        self._settings = settings
        self._budget = budget or NodeBudget(settings.sample_limit)
        self._decoder = TextDecoder(
            TextLimits(
                samples=settings.sample_limit, keep_scrapes=_KEEP_SCRAPES, comment_bytes=_COMMENT_BYTES
            ),
            repeats=True,
        )
        self._worker: Worker | None = None
        self._closed = False
        self._slow = True  # what is new is read with care
        self._ids: list[int] = []
        self._generation = -1
        self._series: list[Labels] = []
        self._allowed: list[int] | None = None
        self._reserved = ""

    @property
    def busy(self) -> bool:
        """Whether a page that took too long is still being read; no other can be begun."""
        return self._worker is not None and self._worker.busy

    @property
    def types(self) -> dict[str, str]:
        """The types that the page declares."""
        trusted = self._settings.trusted
        return {name: kind for name, kind in self._decoder.types.items() if not reserved(name, trusted)}

    async def read(self, body: bytes, content_type: str, seconds: float) -> Page:
        """The page, within `seconds` if it is a large one. Raises ScrapeFailed."""
        most, limit = self._limit()
        aside = len(body) > (_NEVER_ASIDE if self._slow else _ALWAYS_ASIDE)
        if aside:
            found, refused = await self._decode_aside(body, content_type, most, seconds)
        else:
            found, refused = self._decode(body, content_type, most)
        if isinstance(found, MalformedExposition):
            raise ScrapeFailed("malformed", f"it is no metrics page: {found}") from found
        self._hold(len(found.ids))
        self.refused.update(found.refused)
        if refused:
            self.refused[limit] += refused
        # Mostly the series are those of the scrape before; then their label sets are reused as they are.
        if found.ids != self._ids or found.generation != self._generation:
            self._ids, self._generation = found.ids, found.generation
            self._see([self._decoder.labels[local] for local in found.ids])
        values = found.values
        if self._allowed is not None:
            self.refused["reserved_name"] += len(values) - len(self._allowed)
            values = [values[row] for row in self._allowed]
        return Page(self._series, values, refused, limit if refused else "")

    def close(self) -> None:
        """Leave the budget to the others."""
        self._closed = True
        self._budget.release(self)

    # Decoding, here or in a thread.

    def _decode(self, body: bytes, content_type: str, most: int) -> _Decoded:
        """At most so many samples, and how many there are beyond."""
        began = time.thread_time()
        kept, refused = cut(body, most)
        if len(self._decoder.labels) > 2 * most + _SPARE_SERIES:
            self._decoder.forget(0)
        found: Exposition | MalformedExposition
        try:
            found = self._decoder.decode(kept, content_type)
        except MalformedExposition as error:
            found = error
        self._slow = time.thread_time() - began > _SLOW_SECONDS
        return found, refused

    async def _decode_aside(self, body: bytes, content_type: str, most: int, seconds: float) -> _Decoded:
        """In a thread, when it is this page's turn: which lasts as long as the thread does."""
        loop, turn = asyncio.get_running_loop(), self._budget.turn
        end = loop.time() + seconds
        try:
            async with asyncio.timeout_at(end):
                await turn.acquire()
        except TimeoutError as error:
            raise ScrapeFailed("timeout", "its page waits for others to be read") from error

        def decode() -> _Decoded:
            try:
                return self._decode(body, content_type, most)
            finally:
                with suppress(RuntimeError):  # the loop has ended
                    loop.call_soon_threadsafe(turn.release)

        # It ends with this page: threads that mostly wait would cost each engine memory.
        worker = self._worker = Worker("page")
        self._hold(min(most, body.count(b"\n") + 1))
        try:
            return await worker.call_async(decode, max(end - loop.time(), 0.0))
        except DeadlinePassed as error:
            raise ScrapeFailed("timeout", "its page takes too long to read") from error
        finally:
            worker.close()

    # Limits.

    def _limit(self) -> tuple[int, str]:
        """The most samples that may be taken, and the setting that says so."""
        own = self._settings.sample_limit
        room = own if self._closed else self._budget.room(self)
        return (own, SAMPLE_LIMIT) if own <= room else (room, ENGINE_SERIES)

    def _hold(self, count: int) -> None:
        if not self._closed:
            self._budget.hold(self, count)

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
