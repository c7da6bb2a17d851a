"""The on-call phone of the demo: a webhook that takes Alertmanager's JSON and shows each page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web


class Pager:
    """Listens on a free port of loopback. `show` is called with each body."""

    def __init__(self) -> None:
        self.url = ""
        self.show: Callable[[Mapping[str, Any]], None] = lambda _body: None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Begin to listen."""
        application = web.Application()
        application.router.add_post("/", self._take)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/"

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        self.show(await request.json())
        return web.Response()
