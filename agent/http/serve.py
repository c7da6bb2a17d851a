"""A server of a few pages over HTTP/1.1, for GET and HEAD; h11 says what the bytes mean.

Why not aiohttp: see `agent.http.plain`. A page is sent as it is, in pieces no larger than what the kernel
takes; a client that does not read costs one piece and not one page more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate

import h11

log = logging.getLogger("fleetowl.agent")

PLAIN = "text/plain; charset=utf-8"

_MOST_HEAD = 16 * 1024
_MOST_BODY = 64 * 1024  # of a request; no page wants one
_MOST_CONNECTIONS = 256
_PIECE = 256 * 1024  # bytes that are handed to a connection at once
_REQUEST = 10.0  # seconds that a request may take to arrive
_ANSWER = 60.0  # seconds that a client may take to read its answer
_IDLE = 310.0  # seconds; Prometheus itself ends a connection that was idle for 300
_GRACE = 1.0  # seconds for answers under way at the end


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered."""

    body: bytes
    status: int = 200
    content_type: str = PLAIN


Pages = Mapping[str, Callable[[], Page]]
"""What is answered by path."""


class PageServer:
    """Serves `pages`; each is made when it is asked for."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.connections: set[_Connection] = set()
        self.closing = False
        self._server: asyncio.Server | None = None

    async def start(self, host: str | None, port: int) -> tuple[str, int]:
        """Listen; the address that it got. Raises OSError if that is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port)
        bound = self._server.sockets[0].getsockname()
        return bound[0], bound[1]

    async def close(self) -> None:
        """Stop listening; answers under way have a second to get through."""
        if self._server is None:
            return
        self.closing = True
        self._server.close()
        for connection in list(self.connections):
            connection.leave()
        ends = [connection.lost for connection in self.connections]
        if ends:
            await asyncio.wait(ends, timeout=_GRACE)
        for connection in list(self.connections):
            connection.abort()
        await asyncio.gather(*ends)
        await self._server.wait_closed()


class _Connection(asyncio.Protocol):
    """One client: a request, its answer, the next request."""

    def __init__(self, server: PageServer) -> None:
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._server = server
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MOST_HEAD)
        self._timer: asyncio.TimerHandle | None = None
        self._request: h11.Request | None = None
        self._body = 0
        self._begun = False
        self._answering = False
        self._rest = memoryview(b"")
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(self)
        if len(self._server.connections) > _MOST_CONNECTIONS or self._server.closing:
            self.abort()
        else:
            self._allow(_REQUEST)

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rest = memoryview(b"")
        self._server.connections.discard(self)
        self.lost.set_result(None)

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()

    def leave(self) -> None:
        """End it, after the answer that is under way."""
        if not self._answering:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if not self._begun:
            self._begun = True
            self._allow(_REQUEST)
        self._http.receive_data(data)
        self._go()

    def eof_received(self) -> None:
        # It is not read from while an answer is under way: there is none, and asyncio ends the connection.
        self._http.receive_data(b"")
        self._go()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._send_rest()
        self._go()

    def _allow(self, seconds: float) -> None:
        """From now on it has so long."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.abort)

    def _go(self) -> None:
        """Take what has come, request by request, until one's answer has to wait for the client."""
        while not self._answering and not self._transport.is_closing():
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError as error:
                self._send(Page(f"{error}\n".encode(), error.error_status_hint), close=True)
                continue
            if isinstance(event, h11.Request):
                self._request, self._body = event, 0
            elif isinstance(event, h11.Data):
                self._body += len(event.data)
                if self._body > _MOST_BODY:
                    self._send(Page(b"That is too much for a question.\n", 413), close=True)
            elif isinstance(event, h11.EndOfMessage):
                self._send(self._page())
            elif isinstance(event, h11.ConnectionClosed):
                self._transport.close()
            else:
                return

    def _page(self) -> Page:
        assert self._request is not None
        path = self._request.target.decode("latin-1").partition("?")[0]
        make = self._server.pages.get(path)
        if make is None:
            return Page(b"There is no such page.\n", 404)
        if self._request.method not in (b"GET", b"HEAD"):
            return Page(b"Only GET and HEAD are answered.\n", 405)
        try:
            return make()
        # The supervisor boundary: a fault of ours is an answer too, and the next request may do better.
        except Exception:
            log.exception("the page %s could not be made", path)
            return Page(b"The page could not be made; the agent's log says why.\n", 500)

    def _send(self, page: Page, close: bool = False) -> None:
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self._transport.close()
            return
        headers = [
            ("Date", formatdate(usegmt=True)),
            ("Content-Type", page.content_type),
            ("Content-Length", str(len(page.body))),
            *([("Allow", "GET, HEAD")] if page.status == 405 else []),
            *([("Connection", "close")] if close or self._server.closing else []),
        ]
        self._answering = True
        # h11 is told of the body but does not get to copy it.
        self._transport.write(self._http.send(h11.Response(status_code=page.status, headers=headers)) or b"")
        if self._request is None or self._request.method != b"HEAD":
            self._http.send_with_data_passthrough(h11.Data(data=page.body))
            self._rest = memoryview(page.body)
        self._http.send(h11.EndOfMessage())
        self._send_rest()
        if self._answering:
            self._allow(_ANSWER)
            self._transport.pause_reading()

    def _send_rest(self) -> None:
        while self._rest and not self._paused and not self._transport.is_closing():
            piece, self._rest = self._rest[:_PIECE], self._rest[_PIECE:]
            self._transport.write(piece)
        if self._answering and not self._rest:
            self._end_answer()

    def _end_answer(self) -> None:
        self._answering = False
        self._request = None
        through = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if not through or self._server.closing:
            self._transport.close()
            return
        self._http.start_next_cycle()
        self._transport.resume_reading()
        self._begun = bool(self._http.trailing_data[0])
        self._allow(_REQUEST if self._begun else _IDLE)
