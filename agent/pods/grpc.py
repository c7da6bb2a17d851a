"""One unary gRPC call over a stream that is already open: HTTP/2 by the library h2, the rest is a few bytes.

Source: github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. What is left out: compression (never asked
for), streaming, retries, TLS.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from h2.connection import H2Connection

MAX_ANSWER = 32 << 20
"""Bytes. Nodes with many pods answer with more than the 4 MiB at which gRPC's own clients give up."""

_PREFIX = 5  # a flag for compression, then the length of the message in 4 bytes
_CHUNK = 1 << 16
_CLOSED = "the connection was closed before the answer was complete"
_SAID = 200  # characters of a server's text that are worth a line
_CODES = (
    "ok", "cancelled", "unknown", "invalid argument", "deadline exceeded", "not found", "already exists",
    "permission denied", "resource exhausted", "failed precondition", "aborted", "out of range",
    "unimplemented", "internal", "unavailable", "data loss", "unauthenticated",
)  # fmt: skip


class CallFailed(Exception):
    """The server refused, broke off, or does not speak gRPC. The text says which, and is short."""


async def unary(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    path: str,
    message: bytes = b"",
    max_answer: int = MAX_ANSWER,
) -> bytes:
    """The answer to one call, `path` being `/package.Service/Method`.

    Raises CallFailed. The deadline is the caller's (asyncio.timeout), and so is the stream, which is good for
    no second call.
    """
    # Imported when there is a socket to speak to: a node without a kubelet saves the memory.
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.exceptions import ProtocolError

    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    call = _Call(connection, max_answer)
    try:
        call.begin(path, message)
        while not call.ended:
            writer.write(connection.data_to_send())
            await writer.drain()
            received = await reader.read(_CHUNK)
            if not received:
                raise CallFailed(_CLOSED)
            call.take(connection.receive_data(received))
    except ProtocolError as error:
        raise CallFailed(f"not HTTP/2: {type(error).__name__}: {str(error)[:_SAID]}") from error
    except ConnectionError as error:
        raise CallFailed(_CLOSED) from error
    # Header blocks are asked for as UTF-8; a server may send what is none.
    except UnicodeDecodeError as error:
        raise CallFailed("a header that is not UTF-8") from error
    return call.message()


class _Call:
    """What has come so far of the answer on the one stream."""

    def __init__(self, connection: H2Connection, max_answer: int) -> None:
        self._connection = connection
        self._max = max_answer
        self._headers: dict[str, str] = {}
        self._data = bytearray()
        self._stream = 0
        self.ended = False

    def begin(self, path: str, message: bytes) -> None:
        """Put the request into the connection's outgoing bytes."""
        self._connection.initiate_connection()
        self._stream = self._connection.get_next_available_stream_id()
        self._connection.send_headers(
            self._stream,
            [
                (":method", "POST"),
                (":scheme", "http"),
                (":path", path),
                (":authority", "localhost"),
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("user-agent", "fleetowl"),
            ],
        )
        framed = b"\0" + len(message).to_bytes(4, "big") + message
        self._connection.send_data(self._stream, framed, end_stream=True)

    def take(self, events: Iterable[object]) -> None:
        """Raises CallFailed as soon as there can be no good answer."""
        from h2 import events as h2

        for event in events:
            if isinstance(event, h2.ResponseReceived | h2.TrailersReceived):
                self._headers.update((str(name), str(value)) for name, value in event.headers or ())
            elif isinstance(event, h2.DataReceived):
                self._take_data(event.data or b"", event.flow_controlled_length or 0)
            elif isinstance(event, h2.StreamEnded):
                self.ended = True
            elif isinstance(event, h2.StreamReset):
                raise CallFailed(f"the stream was reset (HTTP/2 error {int(event.error_code or 0)})")
            elif isinstance(event, h2.ConnectionTerminated) and event.error_code:
                raise CallFailed(f"the connection was ended (HTTP/2 error {int(event.error_code)})")

    def _take_data(self, data: bytes, flow_controlled: int) -> None:
        self._data += data
        announced = int.from_bytes(self._data[1:_PREFIX], "big") if len(self._data) >= _PREFIX else 0
        if max(announced, len(self._data) - _PREFIX) > self._max:
            raise CallFailed(f"the answer is larger than {self._max >> 20} MiB")
        # Opens the window again by what has been taken: without it a server stops after 64 KiB.
        self._connection.acknowledge_received_data(flow_controlled, self._stream)

    def message(self) -> bytes:
        """The one message of the answer. Raises CallFailed with what the server said."""
        self._check_status()
        if len(self._data) < _PREFIX:
            raise CallFailed("an answer without a message")
        if self._data[0]:
            raise CallFailed("a compressed answer, which was not asked for")
        length = int.from_bytes(self._data[1:_PREFIX], "big")
        if length != len(self._data) - _PREFIX:
            raise CallFailed(f"a message of {length} bytes came as {len(self._data) - _PREFIX}")
        return bytes(self._data[_PREFIX:])

    def _check_status(self) -> None:
        status = self._headers.get(":status", "")
        if status != "200":
            raise CallFailed(f"HTTP status {status or 'missing'}")
        code = self._headers.get("grpc-status")
        if code is None:
            raise CallFailed("no grpc-status: not a gRPC server")
        if code != "0":
            name = _CODES[int(code)] if code.isascii() and code.isdigit() and int(code) < 17 else f"{code:.9}"
            said = unquote(self._headers.get("grpc-message", ""), errors="replace")[:_SAID]
            raise CallFailed(f"gRPC status {name}" + (f": {said}" if said else ""))
