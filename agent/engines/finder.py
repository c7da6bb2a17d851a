"""Keeps the agent's engines those that discovery finds: added as they come, removed as they go."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Protocol

from agent.engines.engine import Engine
from agent.engines.found import DiscoveryFailed, Findings, Found, Refused
from agent.engines.settings import EngineSettings
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

STATUS = "fleetowl_engine_discovery_status"
METRICS = (
    Metric(
        STATUS,
        "gauge",
        "Always 1; the state of a way to discover engines (pods or ports): ok, limited (there are more than "
        "max_engines) or failed, and why. What was found before a failure stays.",
        ("kind", "state", "reason"),
    ),
    Metric("fleetowl_engine_discovered", "gauge", "Engines that discovery has found.", ("kind",)),
    Metric(
        "fleetowl_engine_discovery_refused",
        "gauge",
        "Pods or ports that are no engine though they were to be, by reason: no_port, invalid_port, "
        "no_address, invalid, no_engine, duplicate or max_engines.",
        ("kind", "reason"),
    ),
)


class Discovery(Protocol):
    """One way to find engines."""

    kind: str
    interval: int
    """Between looks, ms."""

    async def look(self) -> Findings:
        """What is there now. Raises DiscoveryFailed."""


class _Way:
    """A way to discover, and what came of it."""

    def __init__(self, discovery: Discovery) -> None:
        self.discovery = discovery
        self.findings = Findings()
        self.state, self.reason = "pending", ""
        self.refused: tuple[Refused, ...] = ()
        self.taken: dict[Hashable, tuple[Found, Engine]] = {}

    @property
    def kind(self) -> str:
        return self.discovery.kind


class Finder:
    """Looks by every way at its own pace. `configured` are not discovered a second time."""

    def __init__(
        self,
        ways: Sequence[Discovery],
        configured: Iterable[EngineSettings],
        max_engines: int,
        make: Callable[[EngineSettings, float | None], Engine],
        add: Callable[[Engine], None],
        remove: Callable[[Engine], Awaitable[None]],
    ) -> None:
        self._ways = [_Way(each) for each in ways]
        self._configured = {each.url: _name(each) for each in configured}
        self._most = max_engines
        self._make, self._add, self._remove = make, add, remove
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look, in tasks of their own."""
        self._tasks = [asyncio.create_task(self._run(way)) for way in self._ways]

    async def close(self) -> None:
        """Look no more. The engines are the agent's, who closes them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def look(self) -> None:
        """Look once by every way."""
        for way in self._ways:
            await self._look_safely(way)

    def samples(self) -> Iterable[Sample]:
        """How discovery goes."""
        for way in self._ways:
            labels = Labels({"kind": way.kind, "state": way.state, "reason": way.reason})
            yield Sample(STATUS, labels, 1.0)
            yield Sample("fleetowl_engine_discovered", Labels({"kind": way.kind}), float(len(way.taken)))
            for reason, count in Counter(each.reason for each in way.refused).items():
                labels = Labels({"kind": way.kind, "reason": reason})
                yield Sample("fleetowl_engine_discovery_refused", labels, float(count))

    async def _run(self, way: _Way) -> None:
        while True:
            await self._look_safely(way)
            await asyncio.sleep(way.discovery.interval / 1000)

    async def _look_safely(self, way: _Way) -> None:
        try:
            await self._look(way)
        # The supervisor boundary: what discovery does wrong must not end it, nor be said each time.
        except Exception:
            if (way.state, way.reason) != ("failed", "internal"):
                log.exception("the discovery of engines by %s failed", way.kind)
            way.state, way.reason = "failed", "internal"

    async def _look(self, way: _Way) -> None:
        try:
            findings = await way.discovery.look()
        except DiscoveryFailed as failure:
            self._note(way, "failed", failure.kind, str(failure))
            return
        taken, refused = self._choose(way, findings)
        broken = await self._apply(way, taken)
        self._note_refused(way, (*findings.refused, *refused, *broken))
        full = sum(each.reason == "max_engines" for each in refused)
        if full:
            why = f"{full} more than max_engines ({self._most}) are left out"
            self._note(way, "limited", "max_engines", why)
        else:
            self._note(way, "ok", "", "")

    def _choose(self, way: _Way, findings: Findings) -> tuple[list[Found], list[Refused]]:
        """Those that are taken, and those that are not; who is watched already stays."""
        others = [found for each in self._ways if each is not way for found, _ in each.taken.values()]
        names = {*self._configured.values(), *(_name(found.settings) for found in others)}
        urls = {*self._configured, *(found.settings.url for found in others)}
        room = self._most - len(others)
        taken: list[Found] = []
        refused = []
        for found in sorted(findings.engines, key=lambda each: each.key not in way.taken):
            who = found.settings.url
            if who in urls or _name(found.settings) in names:
                if who not in self._configured:
                    refused.append(Refused(who, "duplicate", "another engine has its job and instance"))
            elif len(taken) >= room:
                refused.append(Refused(who, "max_engines", f"max_engines is {self._most}"))
            else:
                taken.append(found)
                urls.add(who)
                names.add(_name(found.settings))
        return taken, refused

    async def _apply(self, way: _Way, taken: Iterable[Found]) -> list[Refused]:
        """Watch these and no others. Those that cannot be, for a fault of ours, cost the others nothing."""
        broken = []
        wanted = {found.key: found for found in taken}
        for key, (found, engine) in list(way.taken.items()):
            if key not in wanted or wanted[key].settings != found.settings:
                del way.taken[key]
                log.info("the engine %s is watched no more", engine)
                await self._remove(engine)
        for key, found in wanted.items():
            if key in way.taken:
                self._tell_start(way.taken[key][1], found)
                way.taken[key] = (found, way.taken[key][1])
                continue
            try:
                engine = self._make(found.settings, found.started)
                self._add(engine)
            except Exception as error:
                broken.append(Refused(found.settings.url, "invalid", f"it cannot be watched: {error!r}"))
                continue
            way.taken[key] = (found, engine)
            log.info("the engine %s was found by %s", engine, way.kind)
        return broken

    def _tell_start(self, engine: Engine, found: Found) -> None:
        if found.started is not None:
            engine.start.container(found.started)

    def _note(self, way: _Way, state: str, reason: str, why: str) -> None:
        """One line in the log for each change."""
        if (state, reason) == (way.state, way.reason):
            return
        if state == "ok":
            if way.state == "failed":
                log.info("the discovery of engines by %s works again", way.kind)
        else:
            log.warning("the discovery of engines by %s is %s: %s", way.kind, state, why)
        way.state, way.reason = state, reason

    def _note_refused(self, way: _Way, refused: tuple[Refused, ...]) -> None:
        known = {(each.who, each.reason) for each in way.refused}
        for each in refused:
            if each.reason != "max_engines" and (each.who, each.reason) not in known:
                log.warning("%s is not watched as an engine: %s", each.who, each.why)
        way.refused = refused


def _name(settings: EngineSettings) -> tuple[str, str]:
    return settings.job, settings.instance or settings.url.split("/")[2]
