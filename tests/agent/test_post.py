"""The way to an analyzer: its answers and its failures, the same by the lean client and by aiohttp."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import pytest

from agent.http.session import SharedSession
from agent.post import HttpPost
from agent.settings import PushSettings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Fleetowl-Boot: b00t\r\nX-Fleetowl-Window-End: 1700\r\n\r\n{}"
WAYS = ("lean", "aiohttp")

Say = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Analyzer:
    """Says `answer` to each request, or does as `talk` does."""

    def __init__(self) -> None:
        self.answer = OK
        self.talk: Say = self.serve
        self.requests: list[tuple[str, bytes]] = []
        self.connections = 0
        self.port = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def take(self, reader: asyncio.StreamReader) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = re.search(r"Content-Length: (\d+)", head)
        self.requests.append((head, await reader.readexactly(int(length[1]) if length else 0)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await self.take(reader)
            writer.write(self.answer)


@pytest.fixture
async def analyzer() -> AsyncIterator[Analyzer]:
    found = Analyzer()
    server = await asyncio.start_server(found.accept, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    yield found
    server.close()


Make = Callable[..., HttpPost]


@pytest.fixture(params=WAYS)
async def make(request: pytest.FixtureRequest, analyzer: Analyzer) -> AsyncIterator[Make]:
    session = SharedSession()
    made: list[HttpPost] = []

    def make(port: int = 0, **settings: object) -> HttpPost:
        push = PushSettings.model_validate({"url": "http://127.0.0.1:1", **settings})
        post = HttpPost(session, f"http://127.0.0.1:{port or analyzer.port}/", push, time.time)
        if request.param == "aiohttp":
            post._plain = None
        made.append(post)
        return post

    yield make
    for post in made:
        post.close()
    await session.close()


def _status(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_frames_arrive_and_the_answer_is_understood(analyzer: Analyzer, make: Make) -> None:
    post = make(token="s3cret")
    for body in (b"one", bytes(range(256)) * 3000):
        answer = await post(body)
        assert (answer.status, answer.boot, answer.window_end) == (200, "b00t", 1700)
        assert analyzer.requests[-1][1] == body
    head = analyzer.requests[-1][0]
    assert head.startswith("POST /api/v1/frames HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{analyzer.port}\r\n" in head
    assert "Authorization: Bearer s3cret\r\n" in head
    assert "Content-Type: application/" in head
    assert analyzer.connections == 1, "the connection is kept"


@pytest.mark.parametrize(
    ("answer", "kind", "why", "retry_after"),
    [
        (_status("400 Bad Request", b"bad frame\n"), "malformed", "it answered 400: bad frame", None),
        (_status("401 Unauthorized"), "unauthorized", "it answered 401: Unauthorized", None),
        (_status("409 Conflict", b"{}"), "schema", "it answered 409: {}", None),
        (_status("413 Too Much", b"no"), "too_large", "it answered 413: no", None),
        (_status("429 Slow Down", b"", "Retry-After: 7"), "overload", "it answered 429: Slow Down", 7.0),
        (_status("503 Unavailable", b"", "Retry-After: soon"), "status", "answered 503: Unavailable", None),
        (_status("429 No", b"", "Retry-After: \u0667"), "overload", "it answered 429: No", None),
        (_status("429 No", b"", "Retry-After: ~").replace(b"~", b"\xb2"), "overload", "429: No", None),
        (_status("429 No", b"", f"Retry-After: {'9' * 20} Jan 2030 00:00:00 GMT"), "overload", "", None),
        (_status("307 Elsewhere", b"", "Location: /x"), "status", "it answered 307: Elsewhere", None),
        (_status("500 Oh", b"x" * 200_000), "status", "it answered 500: x{300}$", None),
    ],
)
async def test_each_answer_has_its_word(
    analyzer: Analyzer, make: Make, answer: bytes, kind: str, why: str, retry_after: float | None
) -> None:
    analyzer.answer = answer
    found = await make()(b"x")
    assert (found.status, found.kind, found.retry_after) == (int(answer[9:12]), kind, retry_after)
    assert re.search(why, found.why)


async def test_retry_after_may_be_a_date(analyzer: Analyzer, make: Make) -> None:
    analyzer.answer = _status("429 Slow", b"", f"Retry-After: {formatdate(time.time() + 60, usegmt=True)}")
    answer = await make()(b"x")
    assert answer.retry_after == pytest.approx(60, abs=3)


async def test_an_analyzer_that_stalls_is_given_up(analyzer: Analyzer, make: Make) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await analyzer.take(reader)
        writer.write(OK[:-1])
        await reader.read()

    analyzer.talk = stall
    post = make(timeout="50ms")
    answer = await post(b"x")
    if answer.status == 0:  # aiohttp is content with the half that it has
        assert (answer.kind, answer.why) == ("timeout", "no answer within 50 ms")
    analyzer.talk = analyzer.serve
    assert (await post(b"y")).boot == "b00t", "over a connection on which no old answer is left"


@pytest.mark.parametrize("said", [b"", OK[:20], b"SSH-2.0-x\r\n\r\n"])
async def test_no_answer_or_half_of_one_is_a_failure(analyzer: Analyzer, make: Make, said: bytes) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await analyzer.take(reader)
        writer.write(said)

    analyzer.talk = half
    answer = await make()(b"x")
    assert (answer.status, answer.kind) == (0, "connection")
    assert answer.why


async def test_a_connection_that_ended_between_two_requests_is_renewed(
    analyzer: Analyzer, make: Make
) -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await analyzer.take(reader)
        writer.write(OK)

    analyzer.talk = once
    post = make()
    for number in range(3):
        assert (await post(b"x")).status == 200
        await asyncio.sleep(0.005)
        assert analyzer.connections == number + 1
    assert len(analyzer.requests) == 3


async def test_an_event_does_not_wait_for_frames(analyzer: Analyzer, make: Make) -> None:
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await analyzer.take(reader)
            if analyzer.requests[-1][1] == b"frames":
                await release.wait()
            writer.write(OK)

    analyzer.talk = slow
    post = make()
    for _ in range(3):
        release.clear()
        frames = asyncio.create_task(post(b"frames"))
        while not analyzer.requests or analyzer.requests[-1][1] != b"frames":  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert (await post(b"event")).status == 200
        release.set()
        assert (await frames).status == 200
    assert analyzer.connections == 2, "both are kept"


async def test_nobody_listens(make: Make, unused_tcp_port: int) -> None:
    answer = await make(unused_tcp_port)(b"x")
    assert (answer.status, answer.kind, answer.why) == (0, "connection", "Connection refused")


async def test_the_token_is_read_for_each_request(analyzer: Analyzer, make: Make, tmp_path: Path) -> None:
    token = tmp_path / "token"
    post = make(token_file=str(token))
    assert (await post(b"x")).kind == "token"
    for secret in ("one", "two"):
        token.write_text(f"{secret}\n")
        assert (await post(b"x")).status == 200
        assert f"Authorization: Bearer {secret}\r\n" in analyzer.requests[-1][0]
    for wrong in (b"a\r\nX: y", b"abc\ndef\n", "t\u00f6ken".encode(), b"\xff\xfe", b"a\x00b"):
        token.write_bytes(wrong)
        requests = len(analyzer.requests)
        answer = await post(b"x")
        assert (answer.status, answer.kind) == (0, "token")
        assert str(token) in answer.why, "the file is named"
        assert len(analyzer.requests) == requests, "no header can smuggle a line"


async def test_a_token_of_the_configuration_that_is_no_header_is_named_by_its_key(make: Make) -> None:
    answer = await make(token="a\nb")(b"x")
    assert (answer.status, answer.kind) == (0, "token")
    assert "agent.push.token" in answer.why


@pytest.mark.parametrize("make", ["lean"], indirect=True)
async def test_a_server_that_answers_early_is_not_sent_the_rest(analyzer: Analyzer, make: Make) -> None:
    async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_status("413 Too Large", b"no"))
        await writer.drain()
        await done.wait()

    done = asyncio.Event()
    analyzer.talk = early
    post = make(timeout="200ms")
    assert (await post(b"x" * 20_000_000)).status == 413
    analyzer.talk = analyzer.serve
    assert (await post(b"y")).status == 200
    done.set()
    assert [body for _, body in analyzer.requests] == [b"y"]
