"""Looks for engines at ports of this machine: for the one box without a cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agent.engines.discovery_settings import DiscoverySettings
from agent.engines.fetch import Fetcher, FetchFailed
from agent.engines.found import Findings, Found, Refused
from agent.engines.kinds import kind_of_page
from agent.engines.page import PageReader, ScrapeFailed
from agent.engines.settings import EngineSettings
from agent.http.session import SessionOf
from wire.scrape import HTTPClientSettings

_LIMIT = 16 << 20  # bytes
_TIMEOUT = 2000  # ms
_KEEP_SECONDS = 3600.0
"""An engine that is gone is watched for so long, or nobody would say that it is."""


class PortDiscovery:
    """An engine is where a page has the families of one. `timer` gives seconds that never run backwards."""

    kind = "ports"

    def __init__(
        self,
        settings: DiscoverySettings,
        node: str,
        session: SessionOf,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.interval = settings.port_interval
        self._ports = settings.ports
        self._node = node
        self._session = session
        self._timer = timer
        self._seen: dict[int, tuple[Found, float]] = {}

    async def look(self) -> Findings:
        """The engines at the ports, and those that were there within the last hour."""
        answers = await asyncio.gather(*map(self._at, self._ports))
        now = self._timer()
        refused = []
        for port, found in zip(self._ports, answers, strict=True):
            if isinstance(found, Found):
                self._seen[port] = (found, now)
            elif found is not None and port not in self._seen:
                refused.append(found)
        self._seen = {port: seen for port, seen in self._seen.items() if now - seen[1] < _KEEP_SECONDS}
        return Findings(tuple(found for found, _ in self._seen.values()), tuple(refused))

    async def _at(self, port: int) -> Found | Refused | None:
        """Nobody there is fine; something else that answers is worth a line in the log."""
        url = f"http://127.0.0.1:{port}/metrics"
        client = HTTPClientSettings(follow_redirects=False)
        try:
            answer = await Fetcher(url, client, self._session, keep=False).get({}, _LIMIT, _TIMEOUT)
        except FetchFailed:
            return None
        body = answer.body if answer.status == 200 else b""
        try:
            page = await PageReader(EngineSettings(job="port", url=url)).read(body, "", _TIMEOUT / 1000)
        except ScrapeFailed:
            return Refused(f"port {port}", "no_engine", "what answers there shows no metrics page")
        kind = kind_of_page(labels.name for labels in page.series)
        if kind is None:
            return Refused(f"port {port}", "no_engine", "what answers there is no engine that is known")
        # Loopback is the same on every node: the instance must tell them apart.
        instance = f"{self._node}:{port}"
        settings = EngineSettings(
            job=kind.name, url=url, instance=instance, follow_redirects=False, trusted=False
        )
        return Found(("port", port), settings)
