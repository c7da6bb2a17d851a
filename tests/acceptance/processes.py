"""A real Fleetowl process under test, and a webhook that remembers what it was told."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def wait_for(condition: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """Poll until the condition gives something true; fail with what was awaited."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await condition()
        if found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {seconds} s: {what}")


@dataclass
class Webhook:
    """An Alertmanager webhook that keeps each body with its moment and deduplication key."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    status: int = 200

    def states(self) -> list[tuple[str, str, str, str]]:
        """(alertname, instance, status, startsAt) of every alert in every accepted body, in order."""
        return [
            (a["labels"]["alertname"], a["labels"].get("instance", ""), a["status"], a["startsAt"])
            for body in self.bodies
            for a in body["alerts"]
        ]

    async def handle(self, request: web.Request) -> web.Response:
        if self.status == 200:
            self.bodies.append(await request.json())
            self.keys.append(request.headers.get("X-Fleetowl-Dedup-Key", ""))
        return web.Response(status=self.status)


async def serve(app: web.Application, port: int = 0) -> tuple[web.AppRunner, str]:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port)
    await site.start()
    host, bound = runner.addresses[0][:2]
    return runner, f"http://{host}:{bound}/"


@dataclass
class Process:
    """A Fleetowl process of the test and its address."""

    argv: list[str]
    url: str
    log: Path
    environment: Mapping[str, str]
    child: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.child = await asyncio.create_subprocess_exec(
                *self.argv, stderr=log, stdout=log, env={**os.environ, **self.environment}
            )

    async def ready(self, seconds: float = 20) -> None:
        await wait_for(lambda: self.answers("/-/ready"), seconds, f"{self.url} ready\n{self.tail()}")

    async def kill(self) -> None:
        await self.end(signal.SIGKILL)

    async def end(self, number: int = signal.SIGTERM) -> int:
        assert self.child is not None
        if self.child.returncode is None:
            self.child.send_signal(number)
        return await asyncio.wait_for(self.child.wait(), 20)

    async def answers(self, path: str) -> bool:
        try:
            async with aiohttp.ClientSession() as session, session.get(self.url + path) as response:
                return response.status == 200
        except aiohttp.ClientError:
            return False

    async def get(self, path: str, **parameters: str) -> Any:
        """The data of Prometheus' API; None while the process does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(self.url + path, params=parameters) as response,
            ):
                body = await response.json()
        except aiohttp.ClientError:
            return None
        assert body["status"] == "success", body
        return body["data"]

    async def query(self, expression: str, **parameters: str) -> dict[tuple[tuple[str, str], ...], str]:
        """A vector: labels to the value's text."""
        data = await self.get("/api/v1/query", query=expression, **parameters)
        if data is None:
            return {}
        return {tuple(sorted(r["metric"].items())): r["value"][1] for r in data["result"]}

    async def metrics(self) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.url + "/metrics") as response:
            return await response.text()

    def tail(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else ""


def scraped_each_second(address: str) -> dict[str, Any]:
    """A job of one page, by the second."""
    return {
        "job_name": "rooms",
        "scrape_interval": "1s",
        "scrape_timeout": "900ms",
        "static_configs": [{"targets": [address]}],
    }


def told_at_once(webhook: Webhook, *group_by: str) -> dict[str, Any]:
    """The section `alertmanager` of a configuration that tells a webhook of everything within a second."""
    route = {"receiver": "hook", "group_by": list(group_by), "group_wait": "0s", "group_interval": "1s"}
    return {
        "route": route,
        "receivers": [{"name": "hook", "webhook_configs": [{"url": webhook.url}]}],
    }
