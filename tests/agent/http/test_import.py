"""An agent that speaks plain HTTP only does without aiohttp, which would take megabytes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.host import Host
from tests.agent.test_post import OK

_AGENT = """
import asyncio, json, sys, time
from agent.main import Agent
from agent.settings import AgentSettings

ANSWERS = {b"POST": %r, b"GET ": b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nx 1\\n"}

async def serve(reader, writer):
    asked.append((await reader.readuntil(b"\\r\\n\\r\\n"))[:4])
    writer.write(ANSWERS[asked[-1]])
    await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = "http://127.0.0.1:%%d" %% server.sockets[0].getsockname()[1]
    settings = json.loads(sys.argv[1].replace("URL", url))
    async with Agent(AgentSettings.model_validate(settings)) as agent:
        for beat in agent.beats.values():
            await agent.tick(beat, int(time.time() * 1000))
        for pusher in agent.pushers:
            await pusher.settle()
        host, port = agent.server.address.rsplit(":", 1)
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /metrics HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
        page = await reader.read()
        writer.close()
        assert b'x{instance="127.0.0.1' in page, page
        assert set(asked) == {b"POST", b"GET "}, asked
    server.close()

asked = []
asyncio.run(main())
print(sorted(name for name in ("aiohttp", "numpy", "h2") if name in sys.modules))
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_plain_http_needs_no_aiohttp(host: Host, tmp_path: Path, scheme: str) -> None:
    settings = {
        "listen": "127.0.0.1:0",
        "node": "gpu-7",
        "interval": "5m",
        "procfs": host.procfs,
        "sysfs": host.sysfs,
        "collectors": {"disable": ["filesystem"]},
        "engines": [{"job": "vllm", "url": "URL/metrics"}],
        "pods": {"enabled": False},
        "gpu": {"enabled": False},
        "push": {"url": ["URL"], "spool": {"directory": str(tmp_path / "spool")}},
    }
    if scheme == "https":
        settings["push"]["url"].append("https://127.0.0.1:1")  # type: ignore[index]
    done = subprocess.run(
        [sys.executable, "-c", _AGENT % OK, json.dumps(settings)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ("['aiohttp']\n" if scheme == "https" else "[]\n")
