"""The real agent, killed with -9 while the analyzer is away: its spool loses nothing that it had kept."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from wire.frames import Kind, decode_stream

pytestmark = pytest.mark.acceptance

PROGRAM = """
import asyncio, json, sys
from agent.main import run
from agent.settings import AgentSettings
asyncio.run(run(AgentSettings.model_validate(json.loads(sys.argv[1])), asyncio.Event()))
"""


class Analyzer:
    """Answers 503 until it is `there`; remembers the sequences of each boot."""

    def __init__(self) -> None:
        self.there = False
        self.schemas: set[bytes] = set()
        self.sequences: dict[bytes, set[int]] = defaultdict(set)

    async def take(self, request: web.Request) -> web.Response:
        if not self.there:
            return web.Response(status=503)
        for frame in decode_stream(await request.read()):
            if frame.kind is Kind.SCHEMA:
                self.schemas.add(frame.schema_hash)
            elif frame.schema_hash not in self.schemas:
                return web.json_response({"need_schema": True}, status=409)
            else:
                self.sequences[frame.boot_id].add(frame.sequence)
        return web.json_response({"accepted": 1})


class Growth:
    """Watches a spool's folder: it has grown often once this life wrote enough frames."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sizes = {self._size()}

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())

    def often(self) -> bool:
        self._sizes.add(self._size())
        return len(self._sizes) > 10


@asynccontextmanager
async def _analyzer() -> AsyncIterator[tuple[Analyzer, str]]:
    analyzer = Analyzer()
    app = web.Application()
    app.add_routes([web.post("/api/v1/frames", analyzer.take)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield analyzer, f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_kill_9_during_an_outage(tmp_path: Path) -> None:
    async with _analyzer() as (analyzer, url):
        settings = json.dumps(
            {
                "listen": "127.0.0.1:0",
                "interval": "100ms",
                "push": {"url": url, "max_backoff": "1s", "spool": {"directory": str(tmp_path)}},
            }
        )

        async def life(lived: Callable[[], bool]) -> None:
            agent = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, settings)
            async with asyncio.timeout(30):
                while not lived():  # noqa: ASYNC110 - files and a stranger's process tell no event
                    await asyncio.sleep(0.1)
            agent.send_signal(signal.SIGKILL)
            await agent.wait()

        for _ in range(3):
            await life(Growth(tmp_path).often)
        analyzer.there = True
        await life(lambda: len(analyzer.sequences) == 4 and min(map(len, analyzer.sequences.values())) > 5)
    assert len(analyzer.sequences) == 4, "every life of the agent is heard of"
    for seen in analyzer.sequences.values():
        assert len(seen) > 5
        assert seen == set(range(1, max(seen) + 1)), "no gap"
