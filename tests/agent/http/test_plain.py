"""The lean client: answers in all their framings, cut anywhere; connections kept, renewed and given up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.http.answer import Answer, AnswerReader, MalformedAnswer, TooLarge
from agent.http.plain import PlainClient

LIMIT = 1 << 20
SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"
)  # fmt: skip
TO_THE_END = b"HTTP/1.0 200 OK\r\nServer: x\r\n\r\nhello"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n" + SIZED


def _read(data: bytes, cuts: list[int], ends: bool) -> tuple[Answer | None, AnswerReader]:
    reader = AnswerReader(LIMIT)
    answer = None
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    for start, end in pairwise(edges):
        assert answer is None
        answer = reader.feed(data[start:end])
    return (reader.end() if ends else answer), reader


@given(
    st.sampled_from([(SIZED, False), (CHUNKED, False), (INTERIM, False), (TO_THE_END, True)]),
    st.lists(st.integers(0, 500), max_size=10),
)
def test_an_answer_means_the_same_however_it_arrives(answer: tuple[bytes, bool], cuts: list[int]) -> None:
    found, reader = _read(answer[0], cuts, answer[1])
    assert found is not None
    assert (found.status, found.body) == (200, b"hello")
    assert reader.keep is (answer[0] is not TO_THE_END)


@pytest.mark.parametrize(
    ("head", "keep"),
    [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0", True),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0", False),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0", False),
        ("HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 0", True),
        ("HTTP/1.1 204 No Content", True),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nX: y", True),
    ],
)
def test_whether_the_connection_lives_on(head: str, keep: bool) -> None:
    reader = AnswerReader(LIMIT)
    assert reader.feed(head.encode() + b"\r\n\r\n") is not None
    assert reader.keep is keep


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "does not speak"),
        (b"HTTP/2 200\r\n\r\n", "does not speak"),
        (b"HTTP/1.1 abc\r\n\r\n", "does not speak"),
        (b"\x16\x03\x01" + b"a" * 70_000, "do not end"),
        (b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "without a colon"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer coding"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "chunk of size"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", "does not end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 2000, "without a size"),
    ],
)
def test_what_is_no_answer(data: bytes, why: str) -> None:
    with pytest.raises(MalformedAnswer, match=why):
        AnswerReader(LIMIT).feed(data)


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n63\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n12345678901",
    ],
)
def test_a_body_beyond_the_limit_is_not_taken(data: bytes) -> None:
    with pytest.raises(TooLarge):
        AnswerReader(10).feed(data)


@given(st.binary(max_size=200))
def test_whatever_comes_is_an_answer_or_refused(data: bytes) -> None:
    for head in (b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
        reader = AnswerReader(LIMIT)
        try:
            if reader.feed(head + data) is None:
                reader.end()
        except (MalformedAnswer, TooLarge, ConnectionResetError):
            pass


# Over a socket.

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Raw:
    """A server that says what a test wants, byte for byte."""

    def __init__(self) -> None:
        self.talk: Talk | None = None
        self.connections = 0
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        assert self.talk is not None
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def request(self, reader: asyncio.StreamReader) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    found = Raw()
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


async def test_one_connection_serves_many_requests(raw: Raw) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await raw.request(reader)
            writer.write(SIZED)

    raw.talk = talk
    client = PlainClient(f"http://127.0.0.1:{raw.port}/metrics?x=1")
    for _ in range(3):
        assert (await client.get({"Accept": "a"}, LIMIT)).body == b"hello"
    assert raw.connections == 1
    assert raw.requests[0] == (
        b"GET /metrics?x=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAccept: a\r\n\r\n" % raw.port
    )
    client.close()


async def test_a_kept_connection_that_was_ended_meanwhile_is_renewed(raw: Raw) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.request(reader)
        writer.write(SIZED)
        await raw.request(reader)  # and ends, with the second request unanswered

    raw.talk = once
    client = PlainClient(f"http://127.0.0.1:{raw.port}/")
    assert (await client.get({}, LIMIT)).status == 200
    assert (await client.get({}, LIMIT)).status == 200
    assert raw.connections == 2
    client.close()


async def test_a_new_connection_that_ends_unanswered_is_a_failure(raw: Raw) -> None:
    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await raw.request(reader)

    raw.talk = mute
    with pytest.raises(ConnectionResetError, match="ended the connection"):
        await PlainClient(f"http://127.0.0.1:{raw.port}/").get({}, LIMIT)


async def test_after_a_failure_the_connection_is_not_used_again(raw: Raw) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.request(reader)
        writer.write(SIZED if raw.connections > 1 else SIZED[:-2])
        await reader.read()

    raw.talk = half
    client = PlainClient(f"http://127.0.0.1:{raw.port}/")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await client.get({}, LIMIT)
    assert (await client.get({}, LIMIT)).body == b"hello", "not the late rest of the first answer"
    client.close()


async def test_what_is_said_unasked_ends_the_connection(raw: Raw) -> None:
    async def chatty(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.request(reader)
        writer.write(SIZED)
        await writer.drain()
        await asyncio.sleep(0.01)
        writer.write(SIZED)
        await reader.read()

    raw.talk = chatty
    client = PlainClient(f"http://127.0.0.1:{raw.port}/")
    await client.get({}, LIMIT)
    await asyncio.sleep(0.03)
    await client.get({}, LIMIT)
    assert raw.connections == 2
    client.close()


async def test_no_header_can_smuggle_a_line(raw: Raw) -> None:
    with pytest.raises(ValueError, match="Authorization"):
        await PlainClient(f"http://127.0.0.1:{raw.port}/").get({"Authorization": "a\r\nX: y"}, LIMIT)


@pytest.mark.parametrize(
    ("url", "can"),
    [
        ("http://127.0.0.1:8000/metrics", True),
        ("http://[::1]:8000/metrics", True),
        ("https://127.0.0.1/metrics", False),
        ("http://127.0.0.1/a b", False),
        ("http://127.0.0.1/\u00e4", False),
    ],
)
def test_what_it_leaves_to_aiohttp(url: str, can: bool) -> None:
    assert PlainClient.can(url) is can
