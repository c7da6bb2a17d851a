"""A real Prometheus before the agent's server: it scrapes, over one connection, and understands the page."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.http.serve import Page, PageServer
from wire.render import CONTENT_TYPE

pytestmark = [pytest.mark.acceptance, pytest.mark.peer]

_CONFIG = """\
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: agent, static_configs: [{{targets: ["127.0.0.1:{port}"]}}]}}]
"""


async def test_prometheus_scrapes_it(
    peer_binary: Callable[[str], str], tmp_path: Path, unused_tcp_port: int
) -> None:
    scrapes, connections = 0, set[int]()

    def metrics() -> Page:
        nonlocal scrapes
        scrapes += 1
        connections.update(map(id, server.connections))
        body = b'# TYPE run gauge\nrun{node="n"} 7\n' + b"".join(b'x{i="%d"} 1\n' % i for i in range(10_000))
        return Page(body, content_type=CONTENT_TYPE)

    binary = peer_binary("prometheus")
    server = PageServer({"/metrics": metrics})
    _, port = await server.start("127.0.0.1", 0)
    (tmp_path / "prometheus.yml").write_text(_CONFIG.format(port=port))
    address = f"127.0.0.1:{unused_tcp_port}"
    flags = ("config.file=prometheus.yml", "storage.tsdb.path=data", f"web.listen-address={address}")
    process = subprocess.Popen(  # noqa: ASYNC220  (it is killed in the end)
        [binary, *(f"--{flag}" for flag in flags)], cwd=tmp_path, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(20):
            while scrapes < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert await asyncio.to_thread(_value, address, "run") == 7.0
        assert await asyncio.to_thread(_value, address, "count(x)") == 10_000.0
        assert len(connections) == 1
    finally:
        process.kill()
        process.wait()
        await server.close()


def _value(address: str, query: str) -> float:
    url = f"http://{address}/api/v1/query?query={query}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return float(json.load(answer)["data"]["result"][0]["value"][1])
