"""The real Prometheus writes to the analyzer; afterwards both must give the same answers."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.acceptance.processes import Process, free_port, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.peer]

Start = Callable[..., Awaitable[Process]]
SECONDS = 60


async def ask(url: str, at: float) -> dict[tuple[tuple[str, str], ...], str]:
    parameters = {"query": '{__name__=~".+",job="prometheus"}', "time": f"{at:.3f}"}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/query", params=parameters) as response,
    ):
        body = await response.json()
    assert body["status"] == "success", body
    return {tuple(sorted(r["metric"].items())): r["value"][1] for r in body["data"]["result"]}


async def test_every_series_equals_prometheus_own_answer(
    tmp_path: Path, start: Start, peer_binary: Callable[[str], str]
) -> None:
    process = await start("analyzer", {})
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: prometheus
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
remote_write:
  - url: {process.url}/api/v1/write
    queue_config: {{batch_send_deadline: 500ms}}
"""
    )
    with (tmp_path / "prometheus.log").open("wb") as log:
        prometheus = subprocess.Popen(  # noqa: ASYNC220 - a peer that runs beside the test
            [
                peer_binary("prometheus"),
                f"--config.file={tmp_path}/prometheus.yml",
                f"--storage.tsdb.path={tmp_path}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=log,
        )
    try:
        url = f"http://127.0.0.1:{port}"

        async def answers() -> bool:
            try:
                return len(await ask(url, time.time())) > 0
            except (aiohttp.ClientError, AssertionError):
                return False

        await wait_for(answers, 20, "prometheus answers")
        await asyncio.sleep(SECONDS)
        at = time.time() - 5  # past the moment to which the queue has been flushed
        theirs = await ask(url, at)
        await asyncio.sleep(3)
        ours = await ask(process.url, at)
        assert len(theirs) > 300
        assert ours == theirs
    finally:
        prometheus.terminate()
        prometheus.wait(20)
