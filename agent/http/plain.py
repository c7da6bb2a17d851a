"""GET and POST over kept connections of plain HTTP/1.1: engines' pages and an analyzer beside them.

Why not aiohttp, which does the rest (https, redirects): eight scrapes a second of vLLM's page cost 2.4 to
2.9 ms of CPU with it and 1.1 to 1.5 ms with this, on the same machine in the same run, and the whole agent
has 10 ms; and to import it takes 11 to 14 MB of the 64 that the agent has. aiohttp reads into a fresh buffer
of 256 KiB each time, which the allocator maps and unmaps; here all connections share one, which asyncio fills
and has us read in one step.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from agent.http.answer import Answer, AnswerReader, MalformedAnswer, TooLarge, Unanswered

_BUFFER = memoryview(bytearray(128 * 1024))
_NEXT_ADDRESS = 0.25  # seconds until a name's next address is tried beside the first (RFC 8305, section 5)


class _Connection(asyncio.BufferedProtocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._answer: asyncio.Future[Answer] | None = None

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    async def ask(self, request: bytes, reader: AnswerReader) -> Answer:
        assert self.transport is not None
        self._reader = reader
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            answer = await self._answer
        except BaseException:
            self.close()
            raise
        # One that answers before it has read the question may not read the rest of it as we mean it.
        if not reader.keep or (self.usable and self.transport.get_write_buffer_size()):
            self.close()
        return answer

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
        self.transport = self._reader = self._answer = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def get_buffer(self, _: int) -> memoryview:
        return _BUFFER

    def buffer_updated(self, count: int) -> None:
        if self._reader is None or self._answer is None or self._answer.done():
            self.close()  # it speaks unasked
            return
        try:
            answer = self._reader.feed(bytes(_BUFFER[:count]))
        except (MalformedAnswer, TooLarge) as error:
            self._answer.set_exception(error)
            return
        if answer is not None:
            self._answer.set_result(answer)

    def eof_received(self) -> bool:
        self._end(None)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._end(error)
        self.transport = None

    def _end(self, error: Exception | None) -> None:
        if self._reader is None or self._answer is None or self._answer.done():
            return
        if error is not None and self._reader.begun:
            self._answer.set_exception(error)
            return
        try:
            self._answer.set_result(self._reader.end())
        except (MalformedAnswer, Unanswered) as failure:
            self._answer.set_exception(failure)


class PlainClient:
    """Requests to one `http://` URL; as many connections are kept as there were requests at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._name = parts.netloc.rpartition("@")[2]
        self._stagger = None if _is_address(self._host) else _NEXT_ADDRESS
        self._idle: list[_Connection] = []
        self._closed = False

    @staticmethod
    def can(url: str) -> bool:
        """Whether this URL is as plain as this client is; another one is for aiohttp."""
        return url.startswith("http://") and url.isascii() and all("!" <= sign <= "~" for sign in url)

    async def get(self, headers: Mapping[str, str], limit: int, keep: bool = True) -> Answer:
        """The answer to a GET; its body has at most `limit` bytes.

        Raises OSError if there is no connection or it breaks, MalformedAnswer, TooLarge, and ValueError
        for a header that cannot be sent.
        """
        request = self._head("GET", headers if keep else {**headers, "Connection": "close"})
        return await self._ask(request, AnswerReader(limit))

    async def post(self, body: bytes, headers: Mapping[str, str], limit: int) -> Answer:
        """The answer to a POST, its body cut off at `limit` bytes. Raises what `get` does but TooLarge.

        If a kept connection ends without an answer the body is sent once more over a new one: it must be
        one that may arrive twice.
        """
        head = self._head("POST", {**headers, "Content-Length": str(len(body))})
        return await self._ask(head + body, AnswerReader(limit, cut=True))

    def close(self) -> None:
        """End the connections; those that are in use end with their answers."""
        self._closed = True
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    async def _ask(self, request: bytes, reader: AnswerReader) -> Answer:
        self._closed = False
        kept = self._kept()
        if kept is not None:
            try:
                return await self._ask_over(kept, request, reader)
            except Unanswered:
                pass  # the server had ended it meanwhile, as it may; a new one will tell
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            _Connection, self._host, self._port, happy_eyeballs_delay=self._stagger
        )
        return await self._ask_over(connection, request, reader)

    async def _ask_over(self, connection: _Connection, request: bytes, reader: AnswerReader) -> Answer:
        answer = await connection.ask(request, reader)
        if self._closed:
            connection.close()
        elif connection.usable:
            self._idle.append(connection)
        return answer

    def _kept(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    def _head(self, method: str, headers: Mapping[str, str]) -> bytes:
        lines = [f"{method} {self._target} HTTP/1.1", f"Host: {self._name}"]
        for name, value in headers.items():
            if not value.isprintable():
                raise ValueError(f"the header {name} holds signs that no header may have")
            lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, "", ""]).encode()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
