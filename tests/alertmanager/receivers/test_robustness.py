"""Receivers that misbehave: each ends as one sentence without secrets, retried or not as it should be."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from alertmanager.notification import Outcome
from alertmanager.receivers.posting import outcome_of, waiting
from alertmanager.receivers.sender import Sender
from tests.alertmanager.night import settings_of
from tests.alertmanager.receivers.catcher import Catcher
from tests.alertmanager.receivers.told import told
from tests.certificates import self_signed

SECRET = "t0ps3cret"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def told_to(url: str, **more: Any) -> Outcome:
    config = {"url": f"{url}{SECRET}", "timeout": "300ms", **more}
    sender = Sender(settings_of(receivers=[{"name": "team", "webhook_configs": [config]}]))
    try:
        outcome = await sender.send(told())
    finally:
        await sender.close()
    assert SECRET not in outcome.answer
    assert outcome.answer.isprintable()
    return outcome


@contextlib.asynccontextmanager
async def serving(serve: Serve, scheme: str = "http") -> AsyncIterator[str]:
    """A server that does this with each connection; yields its URL and leaves nothing open."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with server:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _close_in_the_middle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.transport.abort()


async def _half_and_a_yes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    await writer.drain()


def _endless(status: str) -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        for _ in range(100):
            if writer.is_closing():
                break
            writer.write(b"1\r\nx\r\n")
            await asyncio.sleep(0.005)

    return serve


async def _no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(100)
    writer.write(b"SSH-2.0-x\r\n")


@pytest.mark.parametrize(
    ("serve", "words"),
    [
        (_close_in_the_middle, "127.0.0.1"),
        (_endless("500 Oh"), "500 Oh"),
        (_no_http, "127.0.0.1"),
    ],
)
async def test_a_server_that_breaks_off(serve: Any, words: str) -> None:
    async with serving(serve) as url:
        outcome = await told_to(url)
        assert (outcome.ok, outcome.retry) == (False, True), outcome
        assert words in outcome.answer


async def test_a_yes_counts_whatever_the_server_read() -> None:
    async with serving(_half_and_a_yes) as url:
        outcome = await told_to(url)
        assert outcome.ok or outcome.retry


async def test_a_yes_with_a_body_that_never_ends_is_a_yes() -> None:
    async with serving(_endless("200 OK")) as url:
        began = time.monotonic()
        assert await told_to(url) == Outcome(True, False, "200 OK")
        assert time.monotonic() - began < 0.25


async def test_tls_that_nobody_speaks_or_believes() -> None:
    async with serving(_no_http, "https") as url:
        outcome = await told_to(url)
        assert (outcome.ok, outcome.retry) == (False, True), outcome


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that nobody has signed; `key.pem` lies beside it."""
    return self_signed(tmp_path_factory.mktemp("tls"), "chat")


async def test_a_certificate_that_is_not_believed(certificate: Path, catcher: Catcher) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    app = web.Application()
    app.router.add_post("/{tail:.*}", catcher.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/"
    outcome = await told_to(url, timeout="5s")
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "its certificate is not believed" in outcome.answer
    named = {"ca": certificate.read_text(), "server_name": "chat"}
    assert (await told_to(url, timeout="5s", http_config={"tls_config": named})).ok
    await runner.cleanup()


async def test_a_host_that_is_not_known() -> None:
    outcome = await told_to("http://no-such-host.invalid/")
    assert (outcome.ok, outcome.retry) == (False, True)
    assert "no-such-host.invalid" in outcome.answer


async def test_one_that_hangs_holds_up_no_other(catcher: Catcher) -> None:
    forever = asyncio.Event()

    async def hang() -> web.StreamResponse:
        if len(catcher.requests) == 1:
            await forever.wait()
        return web.Response()

    catcher.answer = hang
    configs = [{"url": f"{catcher.url}{number}", "timeout": "300ms"} for number in range(5)]
    sender = Sender(settings_of(receivers=[{"name": "team", "webhook_configs": configs}]))
    began = time.monotonic()
    first = asyncio.create_task(sender.send(told(integration="webhook[0]")))
    await asyncio.sleep(0.02)
    others = await asyncio.gather(*(sender.send(told(integration=f"webhook[{n}]")) for n in range(1, 5)))
    assert all(outcome.ok for outcome in others)
    assert time.monotonic() - began < 0.25
    assert not (await first).ok
    forever.set()
    await sender.close()


def test_what_a_receiver_asks_to_wait_is_believed() -> None:
    now = time.time()
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 88_000 <= outcome_of(429, "", later).retry_after <= 91_000
    assert outcome_of(503, "", "7") == Outcome(False, True, "", 7000)
    assert waiting("Thu, 01 Jan 1970 00:00:10 GMT", now) == 0
    for odd in ("", "-5", "soon", "1e9", "٣", "9" * 30):
        assert 0 <= waiting(odd, now) <= 86_400_000


async def test_headers_proxy_and_token_are_used(catcher: Catcher) -> None:
    http = {
        "oauth2": {"client_id": "owl", "client_secret": "0auth", "token_url": f"{catcher.url}token"},
        "http_headers": {"X-Team": {"values": ["gpu"], "secrets": ["s3cret"]}},
    }
    assert (await told_to(catcher.url, http_config=http)).ok
    token, hook = catcher.requests
    assert token.path == "/token"
    assert token.form == {"grant_type": "client_credentials"}
    assert hook.headers["Authorization"] == "Bearer t0ken"
    assert hook.headers["X-Team"] == "gpu, s3cret"
    outcome = await told_to("http://somewhere.invalid/", http_config={"proxy_url": catcher.url})
    assert outcome.ok
    assert catcher.requests[-1].headers["Host"] == "somewhere.invalid"
    outcome = await told_to(
        "http://somewhere.invalid/", http_config={"proxy_url": catcher.url, "no_proxy": "a, .invalid"}
    )
    assert not outcome.ok
