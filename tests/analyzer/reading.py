"""What the tests of the read API share: a client, and an analyzer whose window holds real captures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from analyzer.service import Analyzer
from model.labels import Labels
from telemetry.ingest import TargetIngest

INTERVAL = 15_000
SCRAPES = 9
Parameter = str | int | float | Sequence[str]


class Client:
    """Asks an analyzer. Parameters are a mapping; a sequence is a parameter that stands several times."""

    def __init__(self, session: aiohttp.ClientSession, base: str) -> None:
        self._session = session
        self.base = base

    async def ask(
        self, path: str, parameters: Mapping[str, Parameter] | None = None, method: str = "GET"
    ) -> tuple[int, Any]:
        """Status and body."""
        pairs = [
            (name, str(one))
            for name, value in (parameters or {}).items()
            for one in ([value] if isinstance(value, str | int | float) else value)
        ]
        where: dict[str, Any] = {"params": pairs} if method == "GET" else {"data": pairs}
        async with self._session.request(method, self.base + path, **where) as response:
            return response.status, await response.json()

    async def get(self, path: str, parameters: Mapping[str, Parameter] | None = None) -> Any:
        """The data of a good answer."""
        status, body = await self.ask(path, parameters)
        assert status == 200, body
        assert body["status"] == "success"
        return body["data"]

    async def error(
        self, path: str, parameters: Mapping[str, Parameter] | None = None
    ) -> tuple[int, str, str]:
        """Status, errorType and error."""
        status, body = await self.ask(path, parameters)
        assert body["status"] == "error", body
        return status, body["errorType"], body["error"]


def fill(analyzer: Analyzer, pages: Mapping[str, Path], now: int) -> None:
    """Scrape each page (job to file) SCRAPES times, the last at `now` (ms)."""
    window = analyzer.pipeline.window
    window.advance(now)
    for job, path in pages.items():
        labels = Labels({"job": job, "instance": f"{job}:9100"})
        ingest = TargetIngest(window, job, INTERVAL, labels)
        for number in range(SCRAPES):
            at = now - (SCRAPES - 1 - number) * INTERVAL
            assert ingest.ingest(path.read_bytes(), at).up
