"""An answer of HTTP/1.1, put together from bytes as they come.

Understood is what servers answer: Content-Length, chunks, or all until the connection ends. What is none of
these, or too large, is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_MOST_HEAD = 64 * 1024
_MOST_CHUNK_LINE = 1024
_MOST_DIGITS = 15
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
    reason: str = ""
    """The words beside the status."""


class AnswerReader:
    """Puts an answer together from the bytes as they come; `limit` is the most bytes of its body.

    With `cut` a body beyond the limit is no error: the answer has what came of it until then, and the
    connection serves no more.
    """

    def __init__(self, limit: int, cut: bool = False) -> None:
        self._limit = limit
        self._cut = cut
        self._reason = ""
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
        try:
            return self._feed(data)
        except TooLarge:
            if not self._cut:
                raise
            self.keep = False
            return self._answer()

    def _feed(self, data: bytes) -> Answer | None:
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
            version, code, *words = first.split(" ", 2)
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
        self._reason = words[0].strip() if words else ""
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
            if not (length.isascii() and length.isdigit() and len(length) <= _MOST_DIGITS):
                raise MalformedAnswer(f"a Content-Length of {length[:40]!r}")
            self._left = int(length)
            if not self._cut:
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
        self._parts.append(data)
        self._allow(self._size)

    def _answer(self) -> Answer:
        body = b"".join(self._parts)
        return Answer(self.status, self._headers or {}, body[: self._limit], self._reason)


def _chunk_size(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    try:
        if not digits.isalnum() or len(digits) > 16:
            raise ValueError
        return int(digits, 16)
    except ValueError as error:
        raise MalformedAnswer(f"a chunk of size {digits[:40]!r}") from error
