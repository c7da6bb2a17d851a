"""Engines that misbehave, disks that are full, configurations that are wrong: the rest goes on."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web

from tests.acceptance.processes import Process, Webhook, serve, wait_for

pytestmark = pytest.mark.acceptance

Start = Callable[..., Awaitable[Process]]


async def test_bad_engines_go_down_alone(start: Start) -> None:
    async def good(_request: web.Request) -> web.Response:
        return web.Response(text="fine 1\n")

    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=500)

    async def hangs(_request: web.Request) -> web.Response:
        await asyncio.sleep(3600)
        return web.Response()

    async def garbage(_request: web.Request) -> web.Response:
        return web.Response(body=b"\x00\xff{{{ not metrics at all\n\x80")

    runners, addresses = [], {}
    for name, handler in {"good": good, "broken": broken, "hangs": hangs, "garbage": garbage}.items():
        app = web.Application()
        app.router.add_get("/metrics", handler)
        runner, url = await serve(app)
        runners.append(runner)
        addresses[name] = url.removeprefix("http://").rstrip("/")
    process = await start(
        "analyzer",
        {
            "scrape_configs": [
                {
                    "job_name": "engines",
                    "scrape_interval": "1s",
                    "scrape_timeout": "500ms",
                    "static_configs": [{"targets": list(addresses.values())}],
                }
            ]
        },
    )

    async def settled() -> bool:
        return len(await process.query('up{job="engines"}')) == 4

    await wait_for(settled, 15, "four targets\n" + process.tail())
    ups = {dict(key)["instance"]: value for key, value in (await process.query('up{job="engines"}')).items()}
    assert {name: ups[address] for name, address in addresses.items()} == {
        "good": "1",
        "broken": "0",
        "hangs": "0",
        "garbage": "0",
    }
    targets = (await process.get("/api/v1/targets"))["activeTargets"]
    errors = {t["labels"]["instance"]: t["lastError"] for t in targets if t["labels"]["job"] == "engines"}
    assert errors[addresses["good"]] == ""
    assert "500" in errors[addresses["broken"]]
    assert "0.5 s" in errors[addresses["hangs"]]
    assert "line 1" in errors[addresses["garbage"]]
    for runner in runners:
        runner._shutdown_timeout = 0.1  # the hanging handler never ends by itself
        await runner.cleanup()


def test_every_configuration_error_is_said_at_once(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yml"
    path.write_text(
        "analyzer: {listen: 0.0.0.0:9480}\n"
        "telemetry: {retension: 15m}\n"
        "agent: {interval: 5}\n"
        "scrape_configs: [{job_name: a, scrape_interval: 1s, scrape_timeout: 10s}]\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "fleetowl", "check-config", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    for part in ("token", "did you mean retention?", "agent.interval", "5s", "scrape_configs.0"):
        assert part in done.stderr, done.stderr
    assert done.stderr.count(str(path)) == 4


async def test_a_full_disk_is_said_and_survived(start: Start, webhook: Webhook, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(  # noqa: ASYNC221 - before anything runs
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no right to mount a small file system here")
    try:
        process = await start(
            "up",
            {
                "analyzer": {"state_directory": str(small)},
                "agent": {
                    "interval": "1s",
                    "listen": "127.0.0.1:0",
                    "push": {"spool": {"directory": str(small / "spool")}},
                },
            },
        )
        (small / "ballast").write_bytes(b"")
        with (small / "ballast").open("ab", buffering=0) as ballast:
            try:
                while True:
                    ballast.write(b"x" * 4096)
            except OSError:
                pass

        async def said() -> bool:
            metrics = await process.metrics()
            return "fleetowl_store_up 0" in metrics or "fleetowl_snapshot_up 0" in metrics

        await wait_for(said, 90, "the full disk on /metrics\n" + process.tail())
        before = await process.query("node_time_seconds")
        await asyncio.sleep(3)
        assert await process.query("node_time_seconds") != before, "monitoring goes on"
        await process.end()
    finally:
        subprocess.run(["umount", str(small)], check=True)  # noqa: ASYNC221
