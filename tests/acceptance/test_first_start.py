"""The first start on a machine compiles: meanwhile it is seen to live, and can be ended."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.processes import Process, free_port, wait_for

pytestmark = pytest.mark.acceptance


async def test_it_answers_while_it_compiles_and_ends_at_once(tmp_path: Path) -> None:
    url, file = f"127.0.0.1:{free_port()}", tmp_path / "fleetowl.yml"
    file.write_text(f"analyzer: {{listen: '{url}', state_directory: '{tmp_path / 'state'}'}}\n")
    argv = [sys.executable, "-m", "fleetowl", "analyzer", "--config", str(file)]
    environment = {"NUMBA_CACHE_DIR": str(tmp_path / "compiled")}
    process = Process(argv, f"http://{url}", tmp_path / "log", environment)
    await process.start()
    await wait_for(lambda: process.answers("/-/healthy"), 60, process.tail())
    async with aiohttp.ClientSession() as session:
        ready = await session.get(f"{process.url}/-/ready")
        assert ready.status == 503
        assert "compiles its detectors" in await ready.text()
        assert (await session.post(f"{process.url}/api/v1/write")).headers["Retry-After"]
    command = [sys.executable, "-m", "fleetowl", "alerts", "list", "--url", process.url]
    asked = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await asked.communicate()
    assert b"answered 503: Fleetowl is not ready: it compiles its detectors" in said
    assert await process.end() == 0
    assert "ended before the detectors were ready" in process.tail()
