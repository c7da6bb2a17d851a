"""The agent's server: what a client may ask, in what pieces, how long, and what it gets."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.http import serve
from agent.http.serve import Page, PageServer

BIG = b"x" * 8_000_000
GET = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
NO = b"GET /no HTTP/1.1\r\nHost: x\r\n\r\n"
ASK_BIG = b"GET /big HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def _broken() -> Page:
    raise ZeroDivisionError


PAGES: dict[str, Callable[[], Page]] = {
    "/metrics": lambda: Page(b"run 1\n", content_type="text/x"),
    "/big": lambda: Page(BIG),
    "/no": lambda: Page(b"not yet\n", 503),
    "/broken": _broken,
}


@contextlib.asynccontextmanager
async def _served() -> AsyncIterator[tuple[PageServer, int]]:
    server = PageServer(PAGES)
    _, port = await server.start("127.0.0.1", 0)
    yield server, port
    await server.close()
    assert not server.connections


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def server() -> AsyncIterator[PageServer]:
    async with _served() as (server, _):
        yield server


@pytest.fixture
async def client(server: PageServer) -> AsyncIterator[Streams]:
    reader, writer = await _connect(server)
    yield reader, writer
    writer.close()


async def _connect(server: PageServer) -> Streams:
    assert server._server is not None
    return await asyncio.open_connection(*server._server.sockets[0].getsockname()[:2])


async def _answer(reader: asyncio.StreamReader, body: bool = True) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    size = int(headers["content-length"]) if body else 0
    return int(first.split(" ")[1]), headers, await reader.readexactly(size)


async def test_one_connection_gets_many_pages(client: Streams, server: PageServer) -> None:
    reader, writer = client
    for _ in range(3):
        writer.write(GET)
        status, headers, body = await _answer(reader)
        assert (status, body, headers["content-type"]) == (200, b"run 1\n", "text/x")
        assert "connection" not in headers
        assert headers["date"].endswith(" GMT")
    writer.write(LAST)
    assert (await _answer(reader))[1]["connection"] == "close"
    assert await reader.read() == b""
    assert not server.connections


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"no such page"),
        (b"GET /metrics/ HTTP/1.1\r\nHost: x\r\n\r\n", 404, b"no such page"),
        (b"GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200, b"run 1\n"),
        (NO, 503, b"not yet\n"),
        (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", 405, b"Only GET and HEAD"),
        (b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405, b"Only GET and HEAD"),
    ],
)
async def test_what_may_be_asked_and_the_connection_lives_on(
    client: Streams, request_: bytes, status: int, says: bytes
) -> None:
    reader, writer = client
    writer.write(request_)
    found, headers, body = await _answer(reader)
    assert found == status
    assert says in body
    assert headers.get("allow") == ("GET, HEAD" if status == 405 else None)
    writer.write(GET)
    assert (await _answer(reader))[0] == 200


async def test_head_is_get_without_the_body(client: Streams) -> None:
    reader, writer = client
    writer.write(b"HEAD /big HTTP/1.1\r\nHost: x\r\n\r\n")
    status, headers, _ = await _answer(reader, body=False)
    assert (status, headers["content-length"]) == (200, str(len(BIG)))
    writer.write(GET)
    assert (await _answer(reader))[2] == b"run 1\n"


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 200_000, 431),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n" + b"z" * 200_000, 413),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
    ],
)
async def test_what_is_no_request_ends_the_connection(client: Streams, request_: bytes, status: int) -> None:
    reader, writer = client
    writer.write(request_)
    found, headers, _ = await _answer(reader)
    assert (found, headers["connection"]) == (status, "close")
    with contextlib.suppress(ConnectionResetError):  # what it sent beyond is not read
        assert await reader.read() == b""


async def test_http_1_0_gets_one_answer(client: Streams) -> None:
    reader, writer = client
    writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
    assert (await reader.read()).endswith(b"\r\n\r\nrun 1\n")


async def test_a_client_may_end_its_side_before_the_answer(client: Streams) -> None:
    reader, writer = client
    writer.write(ASK_BIG)
    writer.write_eof()
    assert (await _answer(reader))[2] == BIG
    assert await reader.read() == b""


async def test_requests_ahead_of_their_answers_are_answered_in_order(client: Streams) -> None:
    reader, writer = client
    writer.write((NO + GET) * 2000 + LAST)
    found = [(await _answer(reader))[0] for _ in range(4001)]
    assert found == [503, 200] * 2000 + [200]


async def test_a_page_is_sent_as_fast_as_it_is_read(client: Streams, server: PageServer) -> None:
    reader, writer = client
    writer.write(ASK_BIG + GET)
    await asyncio.sleep(0.02)
    (connection,) = server.connections
    assert len(connection._rest) > 0
    assert connection._transport.get_write_buffer_size() <= serve._PIECE
    assert connection._rest.obj is BIG, "not a copy of it"
    assert (await _answer(reader))[2] == BIG
    assert (await _answer(reader))[2] == b"run 1\n"


async def test_a_page_that_cannot_be_made_is_an_answer(
    client: Streams, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = client
    writer.write(b"GET /broken HTTP/1.1\r\nHost: x\r\n\r\n")
    with caplog.at_level(logging.ERROR):
        assert (await _answer(reader))[0] == 500
    assert "/broken" in caplog.text
    writer.write(GET)
    assert (await _answer(reader))[0] == 200


@pytest.mark.parametrize(
    ("which", "before"),
    [
        ("_REQUEST", b""),
        ("_REQUEST", b"GET /met"),
        ("_REQUEST", GET + b"GET /met"),
        ("_ANSWER", ASK_BIG),
        ("_IDLE", GET),
    ],
)
async def test_a_client_that_does_nothing_is_given_up(
    monkeypatch: pytest.MonkeyPatch, server: PageServer, which: str, before: bytes
) -> None:
    monkeypatch.setattr(serve, which, 0.02)
    reader, writer = await _connect(server)
    writer.write(before)
    if before.startswith(GET):
        await _answer(reader)
    assert server.connections or not before
    async with asyncio.timeout(2):
        while server.connections:  # noqa: ASYNC110  (it knows nothing of tests)
            await asyncio.sleep(0.005)
    writer.close()


async def test_a_second_request_has_its_deadline_too(
    monkeypatch: pytest.MonkeyPatch, server: PageServer, client: Streams
) -> None:
    monkeypatch.setattr(serve, "_REQUEST", 0.02)
    reader, writer = client
    writer.write(GET)
    await _answer(reader)
    await asyncio.sleep(0.03)
    writer.write(b"GET /met")
    assert await reader.read() == b""


async def test_a_request_in_drops_has_one_deadline(
    monkeypatch: pytest.MonkeyPatch, server: PageServer
) -> None:
    monkeypatch.setattr(serve, "_REQUEST", 0.05)
    _, writer = await _connect(server)
    for sign in LAST:
        writer.write(bytes([sign]))
        await asyncio.sleep(0.005)
        if not server.connections:
            break
    assert sign != LAST[-1], "given up long before its end"
    writer.close()


async def _connections(server: PageServer, number: int) -> list[Streams]:
    """One after the other, so that it is known who came first."""
    streams: list[Streams] = []
    for _ in range(number):
        known = set(server.connections)
        streams.append(await _connect(server))
        while set(server.connections) == known:  # noqa: ASYNC110  (it knows nothing of tests)
            await asyncio.sleep(0)
    return streams


@pytest.fixture
async def crowd(server: PageServer) -> AsyncIterator[list[Streams]]:
    """As many connections as are allowed."""
    server._most = 4
    streams = await _connections(server, 4)
    yield streams
    for _, writer in streams:
        writer.close()


async def test_of_too_many_connections_the_one_that_waits_longest_goes(
    server: PageServer, crowd: list[Streams], caplog: pytest.LogCaptureFixture
) -> None:
    crowd[0][1].write(GET)
    await _answer(crowd[0][0])
    for _ in range(2):
        crowd += await _connections(server, 1)
        assert len(server.connections) == 4
    assert await _ended(crowd[1])
    assert await _ended(crowd[2])
    for reader, writer in [crowd[0], *crowd[3:]]:
        writer.write(GET)
        assert (await _answer(reader))[0] == 200
    assert [entry.message for entry in caplog.records] == [
        "agent.listen: 5 connections, more than 4; those that ask for nothing are ended"
    ]


async def test_half_open_connections_do_not_lock_out_who_asks(server: PageServer) -> None:
    server._most = 4
    flood = [await _connect(server) for _ in range(20)]
    for _, writer in flood:
        writer.write(b"GET /met")
    reader, writer = await _connect(server)
    writer.write(LAST)
    assert (await _answer(reader))[0] == 200
    assert len(server.connections) <= 4
    for _, each in [*flood, (reader, writer)]:
        each.close()


async def test_without_files_for_a_new_connection_some_are_ended_and_it_is_said_once(
    server: PageServer, crowd: list[Streams], caplog: pytest.LogCaptureFixture
) -> None:
    loop = asyncio.get_running_loop()
    error = OSError(errno.EMFILE, "Too many open files")
    for left in (1, 0, 0):
        loop.call_exception_handler({"message": "socket.accept() out of system resource", "exception": error})
        assert len(server.connections) == left
    assert await _ended(crowd[0])
    assert [entry.message for entry in caplog.records] == [
        "agent.listen: no connection can be accepted, with 4: Too many open files; "
        "those that ask for nothing are ended"
    ]


async def test_other_faults_of_the_loop_are_told_as_before(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    heard: list[str] = []
    async with _served():
        loop.call_exception_handler({"message": "something else"})
    assert [entry.message for entry in caplog.records] == ["something else"]
    loop.set_exception_handler(lambda _, context: heard.append(context["message"]))
    async with _served():
        loop.call_exception_handler({"message": "accept", "exception": OSError(errno.EPERM, "no")})
    loop.call_exception_handler({"message": "after"})
    assert heard == ["accept", "after"]


@pytest.mark.parametrize(("files", "most"), [(256, 64), (1024, 100), (-1, 100), (8, 4)])
async def test_connections_are_a_part_of_the_files_that_may_be_open(
    monkeypatch: pytest.MonkeyPatch, files: int, most: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (files, files))
    async with _served() as (server, _):
        assert server._most == most


async def _ended(streams: Streams) -> bool:
    try:
        return await streams[0].read() == b""
    except ConnectionResetError:
        return True


async def test_at_the_end_answers_get_through_and_idle_ones_end_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(serve, "_GRACE", 30.0)
    async with asyncio.timeout(2), _served() as (server, _):
        idle, busy = await _connect(server), await _connect(server)
        busy[1].write(ASK_BIG)
        await asyncio.sleep(0.01)
        reading = asyncio.create_task(_answer(busy[0]))
    assert (await reading)[2] == BIG
    assert await _ended(idle)
    for _, writer in (idle, busy):
        writer.close()


async def test_at_the_end_who_does_not_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "_GRACE", 0.02)
    async with asyncio.timeout(1), _served() as (server, _):
        _, writer = await _connect(server)
        writer.write(ASK_BIG)
        await asyncio.sleep(0.01)
    writer.close()


async def test_a_taken_address_is_an_error(server: PageServer) -> None:
    assert server._server is not None
    with pytest.raises(OSError, match="address already in use"):
        await PageServer(PAGES).start("127.0.0.1", server._server.sockets[0].getsockname()[1])


class _Transport(asyncio.Transport):
    """Takes all at once."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.ended = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.ended
        self.written += data

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


@pytest.mark.parametrize(("takes", "ends"), [(0.0, [False, False, True]), (11.0, [True, False, False])])
async def test_an_answer_under_way_is_given_up_only_if_it_takes_long(takes: float, ends: list[bool]) -> None:
    server = PageServer(PAGES)
    server._most = 2
    transports = [_Transport() for _ in range(3)]
    for transport in transports:
        connection = serve._Connection(server)
        connection.connection_made(transport)
        connection.answering = True
        connection.since -= takes
    assert [transport.ended for transport in transports] == ends
    for connection in list(server.connections):
        connection.connection_lost(None)


def _said(pieces: list[bytes]) -> tuple[bytes, bool]:
    async def talk() -> tuple[bytes, bool]:
        connection, transport = serve._Connection(PageServer(PAGES)), _Transport()
        connection.connection_made(transport)
        for piece in pieces:
            if not transport.ended:
                connection.data_received(piece)
        if not transport.ended:
            connection.eof_received()
        connection.connection_lost(None)
        return transport.written, transport.ended

    return asyncio.run(talk())


@given(st.lists(st.sampled_from([GET, NO, LAST])), st.integers(1, 90))
def test_requests_mean_the_same_however_they_arrive(requests: list[bytes], size: int) -> None:
    whole = b"".join(requests)
    said, ended = _said([whole[start : start + size] for start in range(0, len(whole), size)])
    until_last = requests[: requests.index(LAST) + 1] if LAST in requests else requests
    assert ended
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"503" if each is NO else b"200" for each in until_last]


@given(st.lists(st.binary(max_size=100)))
def test_whatever_comes_is_answered_or_ended(pieces: list[bytes]) -> None:
    assert _said(pieces)[1]
