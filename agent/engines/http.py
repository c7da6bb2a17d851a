"""GET over one kept connection of plain HTTP/1.1: the scrape of a local engine and nothing else.

Why not aiohttp, which does the rest (https, redirects, everything that pushes): eight scrapes a second of
vLLM's page cost 2.4 to 2.9 ms of CPU with it and 1.1 to 1.5 ms with this, on the same machine in the same
run, and the whole agent has 10 ms. aiohttp reads into a fresh buffer of 256 KiB each time, which the
allocator maps and unmaps; here all connections share one, which asyncio fills and has us read in one step.

Understood is what servers answer to a GET: Content-Length, chunks, or all until the connection ends. What is
none of these, or too large, ends the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

_MOST_HEAD = 64 * 1024
_MOST_CHUNK_LINE = 1024
_BUFFER = memoryview(bytearray(128 * 1024))
_EMPTY = (204, 304)


class MalformedAnswer(Exception):
    """What came is no answer of HTTP/1.1."""


class TooLarge(Exception):
    """The body is larger than was allowed."""


class Unanswered(ConnectionResetError):
    """The server ended the connection before it said a byte."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered; the headers' names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class AnswerReader:
    """Puts an answer together from the bytes as they come; `limit` is the most bytes of its body."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._raw = bytearray()
        self._parts: list[bytes] = []
        self._size = 0
        self._headers: dict[str, str] | None = None
        self._left: int | None = None
        self._chunked = False
        self.status = 0
        self.begun = False
        self.keep = False
        """Whether the connection may serve another request, once the answer is through."""

    def feed(self, data: bytes) -> Answer | None:
        """The answer if it is complete. Raises MalformedAnswer or TooLarge."""
        self.begun = True
        while self._headers is None:
            self._raw += data
            end = self._raw.find(b"\r\n\r\n")
            if end < 0:
                if len(self._raw) > _MOST_HEAD:
                    raise MalformedAnswer("its headers do not end")
                return None
            head, data = bytes(self._raw[:end]), bytes(self._raw[end + 4 :])
            self._raw.clear()
            self._head(head)
        return self._chunks(data) if self._chunked else self._plain(data)

    def end(self) -> Answer:
        """The answer that the end of the connection completes. Raises MalformedAnswer or Unanswered."""
        if not self.begun:
            raise Unanswered("it ended the connection")
        if self._headers is None or self._chunked or self._left is not None:
            raise MalformedAnswer("its answer was cut off")
        return self._answer()

    def _head(self, head: bytes) -> None:
        try:
            first, *lines = head.decode("latin-1").split("\r\n")
            version, code = first.split(" ")[:2]
            self.status = int(code)
        except ValueError as error:
            raise MalformedAnswer("it does not speak HTTP/1.1") from error
        if version not in ("HTTP/1.1", "HTTP/1.0") or not 100 <= self.status <= 999:
            raise MalformedAnswer("it does not speak HTTP/1.1")
        if self.status < 200:
            return  # an interim answer; the real one follows
        headers = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon:
                raise MalformedAnswer("a header without a colon")
            headers[name.lower()] = value.strip()
        self._headers = headers
        self._frame(headers, version)

    def _frame(self, headers: Mapping[str, str], version: str) -> None:
        """How the body ends, and whether the connection lives on."""
        connection = headers.get("connection", "").lower()
        self.keep = "keep-alive" in connection if version == "HTTP/1.0" else "close" not in connection
        coding = headers.get("transfer-encoding", "").lower()
        if self.status in _EMPTY:
            self._left = 0
        elif coding:
            if coding != "chunked":
                raise MalformedAnswer(f"transfer coding {coding[:40]!r}")
            self._chunked = True
        elif "content-length" in headers:
            length = headers["content-length"]
            if not (length.isascii() and length.isdigit()):
                raise MalformedAnswer(f"a Content-Length of {length[:40]!r}")
            self._left = int(length)
            self._allow(self._left)
        else:
            self.keep = False

    def _plain(self, data: bytes) -> Answer | None:
        if self._left is None:
            self._add(data)
            return None
        if len(data) > self._left:
            self.keep = False  # more than it announced: who knows what that is
            data = data[: self._left]
        self._add(data)
        self._left -= len(data)
        return None if self._left else self._answer()

    def _chunks(self, data: bytes) -> Answer | None:
        self._raw += data
        place, raw = 0, self._raw
        answer = None
        while answer is None:
            end = raw.find(b"\r\n", place)
            if end < 0:
                if len(raw) - place > _MOST_CHUNK_LINE:
                    raise MalformedAnswer("a chunk without a size")
                break
            size = _chunk_size(bytes(raw[place:end]))
            self._allow(self._size + size)
            if len(raw) < end + 2 + size + 2:
                break
            if raw[end + 2 + size : end + 4 + size] != b"\r\n":
                raise MalformedAnswer("a chunk that does not end" if size else "trailers, unasked")
            self._add(bytes(raw[end + 2 : end + 2 + size]))
            place = end + 4 + size
            answer = None if size else self._answer()
        del raw[:place]
        return answer

    def _allow(self, size: int) -> None:
        if size > self._limit:
            raise TooLarge(f"its answer is larger than {self._limit} bytes")

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        self._allow(self._size)
        self._parts.append(data)

    def _answer(self) -> Answer:
        return Answer(self.status, self._headers or {}, b"".join(self._parts))


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        if not digits.isalnum() or len(digits) > 16:
            raise ValueError
        return int(digits, 16)
    except ValueError as error:
        raise MalformedAnswer(f"a chunk of size {digits[:40]!r}") from error


class _Connection(asyncio.BufferedProtocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._reader: AnswerReader | None = None
        self._answer: asyncio.Future[Answer] | None = None

    @property
    def usable(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    async def ask(self, request: bytes, limit: int) -> Answer:
        assert self.transport is not None
        self._reader = AnswerReader(limit)
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            answer = await self._answer
        except BaseException:
            self.close()
            raise
        if not self._reader.keep:
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
    """GETs of one `http://` URL over a connection that is kept. Not for two requests at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._name = parts.netloc.rpartition("@")[2]
        self._connection: _Connection | None = None

    @staticmethod
    def can(url: str) -> bool:
        """Whether this URL is as plain as this client is; another one is for aiohttp."""
        return url.startswith("http://") and url.isascii() and all("!" <= sign <= "~" for sign in url)

    async def get(self, headers: Mapping[str, str], limit: int, keep: bool = True) -> Answer:
        """The answer to a GET; its body has at most `limit` bytes.

        Raises OSError if there is no connection or it breaks, MalformedAnswer, TooLarge, and ValueError
        for a header that cannot be sent.
        """
        request = self._request(headers if keep else {**headers, "Connection": "close"})
        kept = self._connection
        if kept is not None and kept.usable:
            try:
                return await kept.ask(request, limit)
            except Unanswered:
                pass  # the server had ended it meanwhile, as it may; a new one will tell
        loop = asyncio.get_running_loop()
        _, self._connection = await loop.create_connection(_Connection, self._host, self._port)
        return await self._connection.ask(request, limit)

    def close(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _request(self, headers: Mapping[str, str]) -> bytes:
        lines = [f"GET {self._target} HTTP/1.1", f"Host: {self._name}"]
        for name, value in headers.items():
            if not value.isprintable():
                raise ValueError(f"the header {name} holds signs that no header may have")
            lines.append(f"{name}: {value}")
        return "\r\n".join([*lines, "", ""]).encode()
