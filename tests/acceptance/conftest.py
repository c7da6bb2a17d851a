"""What the acceptance tests start: processes, a webhook, and endpoints that expose what they are told."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web

from tests.acceptance.processes import Process, Webhook, free_port, serve


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    hook = Webhook()
    app = web.Application()
    app.router.add_post("/", hook.handle)
    runner, hook.url = await serve(app)
    yield hook
    await runner.cleanup()


Start = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Start `fleetowl COMMAND` with a configuration; every process is ended after the test."""
    started: list[Process] = []

    async def begin(
        command: str, configuration: dict[str, Any], environment: Mapping[str, str] | None = None
    ) -> Process:
        port = free_port()
        analyzer = configuration.setdefault("analyzer", {})
        analyzer.setdefault("listen", f"127.0.0.1:{port}")
        analyzer.setdefault("state_directory", str(tmp_path / "state"))
        path = tmp_path / "fleetowl.yml"
        path.write_text(yaml.safe_dump(configuration))
        argv = [sys.executable, "-m", "fleetowl", command, "--config", str(path)]
        process = Process(argv, f"http://{analyzer['listen']}", tmp_path / "fleetowl.log", environment or {})
        started.append(process)
        await process.start()
        await process.ready()
        return process

    yield begin
    for process in started:
        if process.child is not None and process.child.returncode is None:
            await process.end()


@pytest.fixture
async def expose() -> AsyncIterator[Callable[[Callable[[], str]], Awaitable[tuple[str, web.AppRunner]]]]:
    """Serve what a function returns as /metrics; gives host:port and the runner, for a crash."""
    runners: list[web.AppRunner] = []

    async def begin(body: Callable[[], str]) -> tuple[str, web.AppRunner]:
        async def handle(_request: web.Request) -> web.Response:
            return web.Response(
                text=body(), headers={"Content-Type": "text/plain; version=1.0.0; charset=utf-8"}
            )

        app = web.Application()
        app.router.add_get("/metrics", handle)
        runner, url = await serve(app)
        runners.append(runner)
        return url.removeprefix("http://").rstrip("/"), runner

    yield begin
    for runner in runners:
        await runner.cleanup()


def pytest_itemcollected(item: pytest.Item) -> None:
    """`make test` leaves this folder out, `make acceptance` what is not marked: no test may fall between."""
    if item.get_closest_marker("acceptance") is None:
        raise pytest.UsageError(f"{item.nodeid} would never run: mark it with pytest.mark.acceptance")
