"""One HTTP endpoint on its own port: it answers, refuses, hangs or talks nonsense, as its process would."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

MODES = ("answers", "refuses", "hangs", "error", "garbage")

_GARBAGE = b"\x00\xff<html>{{not a metric} 12 \xfe\n" * 20


@dataclass
class Endpoint:
    """Serves `handle` while `state()` says so; `mode` set by a test wins over it.

    A socket that is bound and does not listen holds the port while connections are to be refused.
    """

    job: str
    name: str
    labels: Mapping[str, str]
    handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
    state: Callable[[], str] = lambda: "answers"
    mode: str | None = None
    port: int = 0
    _holder: socket.socket | None = field(default=None, repr=False)
    _server: asyncio.Server | None = field(default=None, repr=False)

    @property
    def listens(self) -> bool:
        """Whether a listening socket is open."""
        return self._server is not None

    def wanted(self) -> str:
        """What it should do now: one of MODES."""
        return self.mode or self.state()

    def reserve(self, host: str) -> None:
        """Take a free port."""
        self._holder = _bound(host, 0)
        self.port = self._holder.getsockname()[1]

    async def open(self, host: str, server: web.Server) -> None:
        """Accept connections and give them to `server`."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(server, sock=_bound(host, self.port))

    def close(self) -> None:
        """Stop accepting connections."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def release(self) -> None:
        """Give the port back."""
        self.close()
        if self._holder is not None:
            self._holder.close()
            self._holder = None

    async def respond(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request in the present mode."""
        match self.wanted():
            case "hangs":
                await asyncio.Event().wait()
            case "error":
                return web.Response(status=500, text="internal error\n")
            case "garbage":
                return web.Response(body=_GARBAGE, content_type="text/plain")
        return await self.handle(request)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    opened.setblocking(False)
    try:
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened
