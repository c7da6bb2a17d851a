"""A server of a few pages over HTTP/1.1, for GET and HEAD; h11 says what the bytes mean.

Why not aiohttp: see `agent.http.plain`. A page is sent as it is, in pieces no larger than what the kernel
takes; a client that does not read costs one piece and not one page more.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import h11

log = logging.getLogger("fleetowl.agent")

PLAIN = "text/plain; charset=utf-8"

_MOST_HEAD = 16 * 1024
_MOST_BODY = 64 * 1024  # of a request; no page wants one
_MOST_CONNECTIONS = 100
_SHARE = 4  # connections get no more than this part of the files that the process may open
_PIECE = 256 * 1024  # bytes that are handed to a connection at once
_REQUEST = 10.0  # seconds that a request may take to arrive
_ANSWER = 60.0  # seconds that a client may take to read its answer
_IDLE = 75.0  # seconds between requests: beyond the minute that is the longest usual interval of scrapes
_GRACE = 1.0  # seconds for answers under way at the end
_SAY_EVERY = 60.0  # seconds between lines in the log about too many connections

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
"""Errors at which asyncio stops accepting for a second (asyncio.selector_events)."""


@dataclass(frozen=True, slots=True)
class Page:
    """What is answered."""

    body: bytes
    status: int = 200
    content_type: str = PLAIN


Pages = Mapping[str, Callable[[], Page]]
"""What is answered by path."""


class PageServer:
    """Serves `pages`; each is made when it is asked for.

    Of too many connections the one that has waited longest for a request gives way, so that who asks is
    answered.
    """

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.connections: dict[_Connection, None] = {}
        """By when they last began to wait for a request, or to answer one."""
        self.closing = False
        self._server: asyncio.Server | None = None
        self._most = _MOST_CONNECTIONS
        self._said = -_SAY_EVERY
        self._otherwise: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    async def start(self, host: str | None, port: int) -> tuple[str, int]:
        """Listen; the address that it got. Raises OSError if that is taken."""
        loop = asyncio.get_running_loop()
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = min(_MOST_CONNECTIONS, max(4, files // _SHARE if files >= 0 else _MOST_CONNECTIONS))
        self._server = await loop.create_server(lambda: _Connection(self), host, port)
        self._otherwise = loop.get_exception_handler()
        loop.set_exception_handler(self._on_fault)
        bound = self._server.sockets[0].getsockname()
        return bound[0], bound[1]

    async def close(self) -> None:
        """Stop listening; answers under way have a second to get through."""
        if self._server is None:
            return
        self.closing = True
        self._server.close()
        asyncio.get_running_loop().set_exception_handler(self._otherwise)
        for connection in list(self.connections):
            connection.leave()
        ends = [connection.lost for connection in self.connections]
        if ends:
            await asyncio.wait(ends, timeout=_GRACE)
        for connection in list(self.connections):
            connection.abort()
        await asyncio.gather(*ends)
        await self._server.wait_closed()

    def admit(self, connection: _Connection) -> None:
        """A new one; it, or another, has to go if there are too many."""
        self.connections[connection] = None
        if len(self.connections) > self._most:
            self._say("%d connections, more than %d", len(self.connections), self._most)
            self._end(self._least_missed() or connection)

    def touch(self, connection: _Connection) -> None:
        """It begins to wait, or to answer."""
        if connection in self.connections:
            del self.connections[connection]
            self.connections[connection] = None

    def _least_missed(self) -> _Connection | None:
        """Who has waited longest for a request, else who takes too long over its answer."""
        *others, _ = self.connections
        late = asyncio.get_running_loop().time() - _REQUEST
        waiting = (each for each in others if not each.answering)
        return next(waiting, None) or next((each for each in others if each.since < late), None)

    def _end(self, connection: _Connection) -> None:
        self.connections.pop(connection, None)  # not counted again before asyncio says that it is lost
        connection.abort()

    def _on_fault(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Without files for a new connection asyncio says so every second, with a traceback."""
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _EXHAUSTED and "accept" in context["message"]:
            self._say("no connection can be accepted, with %d: %s", len(self.connections), error.strerror)
            waiting = [each for each in self.connections if not each.answering]
            for connection in waiting[: len(waiting) // 2 + 1]:
                self._end(connection)
        elif self._otherwise is not None:
            self._otherwise(loop, context)
        else:
            loop.default_exception_handler(context)

    def _say(self, text: str, *values: object) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._said >= _SAY_EVERY:
            self._said = now
            log.warning("agent.listen: " + text + "; those that ask for nothing are ended", *values)


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
        self.answering = False
        self.since = 0.0
        """When it last began to wait, or to answer; in the event loop's time."""
        self._rest = memoryview(b"")
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._allow(_REQUEST)
        self._server.admit(self)
        if self._server.closing:
            self.abort()

    def connection_lost(self, _: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rest = memoryview(b"")
        self._server.connections.pop(self, None)
        self.lost.set_result(None)

    def abort(self) -> None:
        """End it now."""
        self._transport.abort()

    def leave(self) -> None:
        """End it, after the answer that is under way."""
        if not self.answering:
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
        loop = asyncio.get_running_loop()
        self.since = loop.time()
        self._timer = loop.call_later(seconds, self.abort)
        self._server.touch(self)

    def _go(self) -> None:
        """Take what has come, request by request, until one's answer has to wait for the client."""
        while not self.answering and not self._transport.is_closing():
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
        self.answering = True
        # h11 is told of the body but does not get to copy it.
        self._transport.write(self._http.send(h11.Response(status_code=page.status, headers=headers)) or b"")
        if self._request is None or self._request.method != b"HEAD":
            self._http.send_with_data_passthrough(h11.Data(data=page.body))
            self._rest = memoryview(page.body)
        self._http.send(h11.EndOfMessage())
        self._send_rest()
        if self.answering:
            self._allow(_ANSWER)
            self._transport.pause_reading()

    def _send_rest(self) -> None:
        while self._rest and not self._paused and not self._transport.is_closing():
            piece, self._rest = self._rest[:_PIECE], self._rest[_PIECE:]
            self._transport.write(piece)
        if self.answering and not self._rest:
            self._end_answer()

    def _end_answer(self) -> None:
        self.answering = False
        self._request = None
        through = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        if not through or self._server.closing:
            self._transport.close()
            return
        self._http.start_next_cycle()
        self._transport.resume_reading()
        self._begun = bool(self._http.trailing_data[0])
        self._allow(_REQUEST if self._begun else _IDLE)
