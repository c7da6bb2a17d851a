"""Everything that is asked of one engine beside the scrapes of its page, each in a task of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from urllib.parse import urljoin

from agent.engines.fetch import Fetcher, FetchFailed
from agent.engines.inventory import version_in
from agent.engines.kinds import Kind, beside
from agent.engines.probe import Probe, What
from agent.engines.settings import EngineSettings, HealthSettings
from agent.http.session import SessionOf
from model.metric import Sample

_VERSION_LIMIT = 1 << 20  # bytes
_VERSION_TIMEOUT = 2000  # ms
_VERSION_AGAIN = 300.0  # seconds until it is asked for again, if it was not told


class Probes:
    """The probes of one engine, and the question for its version. `who` names it in the log.

    `known_down` says whether the log tells already that nothing answers.
    """

    def __init__(
        self,
        settings: EngineSettings,
        who: str,
        session: SessionOf,
        known_down: Callable[[], bool],
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.version = ""
        """Of the engine, as it tells it itself; empty while unknown."""
        self.by_name: dict[What, Probe] = {}
        self._settings = settings
        self._who = who
        self._session = session
        self._known_down = known_down
        self._timer = timer
        self._version_due = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    def begin(self, kind: Kind | None) -> None:
        """Begin to ask what an engine of this kind answers, or what is configured."""
        self._begin("health", self._settings.health, kind.health if kind is not None else "")
        self._begin("readiness", self._settings.readiness, kind.readiness if kind is not None else "")

    def ready(self) -> bool | None:
        """Whether an engine that shows a page is ready to serve; None while that is being asked."""
        for name in ("readiness", "health"):
            asked = self.by_name.get(name)
            if asked is not None and asked.state == "pending":
                asked.hurry()
                return None
            if asked is not None and asked.state != "unknown":
                return asked.state == "good"
        return True

    def forget(self) -> None:
        """What was answered is of a process that is gone."""
        self.version, self._version_due = "", 0.0
        for probe in self.by_name.values():
            probe.forget()

    def ask_version(self, kind: Kind | None) -> None:
        """Learn the version, if this kind tells it and it is not known yet."""
        if kind is None or not kind.version or self.version or self._closed:
            return
        if self._timer() < self._version_due:
            return
        self._version_due = self._timer() + _VERSION_AGAIN
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.create_task(self._learn_version(kind.version)))

    def samples(self) -> Iterable[Sample]:
        """What the probes found."""
        for probe in self.by_name.values():
            yield from probe.samples()

    async def close(self) -> None:
        """Ask no more, not even if a scrape that is under way would have it begin."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, what: What, settings: HealthSettings, default: str) -> None:
        if what in self.by_name or not settings.enabled or self._closed:
            return
        if not settings.path and not default:
            return
        page = self._settings.url
        url = urljoin(page, settings.path) if settings.path else beside(page, default)
        probe = Probe(what, self._who, settings, self._fetcher(url), self._known_down, self._timer)
        self.by_name[what] = probe
        self._tasks.append(asyncio.create_task(probe.run(lambda: self._interval(probe, settings))))

    def _interval(self, probe: Probe, settings: HealthSettings) -> int:
        """How long until it is asked again, in ms: readiness is asked more often until it is there."""
        if probe.what == "readiness" and probe.state != "good":
            return min(settings.interval, self._settings.health.interval)
        return settings.interval

    async def _learn_version(self, path: str) -> None:
        url = beside(self._settings.url, path)
        try:
            answer = await self._fetcher(url).get({}, _VERSION_LIMIT, _VERSION_TIMEOUT)
        except FetchFailed:
            return  # the scrape and the probes tell of it; a version is nice to have
        if answer.status == 200:
            self.version = version_in(answer.body)

    def _fetcher(self, url: str) -> Fetcher:
        return Fetcher(url, self._settings, self._session, keep=False)
