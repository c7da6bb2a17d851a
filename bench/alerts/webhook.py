"""A webhook in a process of its own, so that its cost is nobody's: it keeps what it hears, with the time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from types import TracebackType
from typing import Any, NamedTuple

from aiohttp import web

KEY = "X-Fleetowl-Dedup-Key"


class Heard(NamedTuple):
    """One POST: where to, when (s since the epoch), how large, under which dedup key, and what."""

    path: str
    at: float
    size: int
    key: str
    body: dict[str, Any]


class Webhook:
    """The process, from this side."""

    def __enter__(self) -> Webhook:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.alerts.webhook"], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def count(self) -> int:
        """POSTs so far."""
        with urllib.request.urlopen(f"{self.url}/-/count") as answer:
            return int(answer.read())

    def heard(self) -> list[Heard]:
        """All of them, in the order in which they came."""
        return self.heard_at("")

    def heard_at(self, prefix: str) -> list[Heard]:
        """Those whose path begins so."""
        with urllib.request.urlopen(f"{self.url}/-/heard?at={prefix}") as answer:
            return [
                Heard(path, at, len(body), key, json.loads(body))
                for path, at, key, body in json.loads(answer.read())
            ]

    def forget(self) -> None:
        """Start anew."""
        request = urllib.request.Request(f"{self.url}/-/heard", method="DELETE")
        urllib.request.urlopen(request).close()


def told(heard: Heard) -> Iterator[dict[str, Any]]:
    """The alerts of a message."""
    yield from heard.body["alerts"]


def application() -> web.Application:
    kept: list[tuple[str, float, str, bytes]] = []

    async def take(request: web.Request) -> web.Response:
        at = time.time()
        kept.append((request.path, at, request.headers.get(KEY, ""), await request.read()))
        return web.Response()

    async def count(_: web.Request) -> web.Response:
        return web.Response(text=str(len(kept)))

    async def heard(request: web.Request) -> web.Response:
        prefix = request.query.get("at", "")
        return web.json_response(
            [(path, at, key, body.decode()) for path, at, key, body in kept if path.startswith(prefix)]
        )

    async def forget(_: web.Request) -> web.Response:
        kept.clear()
        return web.Response()

    app = web.Application(client_max_size=256 << 20)
    app.router.add_get("/-/count", count)
    app.router.add_get("/-/heard", heard)
    app.router.add_delete("/-/heard", forget)
    app.router.add_post("/{path:.*}", take)
    return app


async def serve() -> None:
    runner = web.AppRunner(application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve())
