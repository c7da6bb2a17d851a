"""GETs: lean where that does, by aiohttp where it must, failures in a word."""

from __future__ import annotations

import ssl
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.engines.fetch import Fetcher, FetchFailed
from tests.agent.engines.conftest import Served
from tests.certificates import self_signed
from wire.scrape import HTTPClientSettings


def _fetcher(session: aiohttp.ClientSession, url: str, **settings: object) -> Fetcher:
    return Fetcher(url, HTTPClientSettings.model_validate(settings), lambda: session)


async def test_a_redirect_is_followed_unless_it_shall_not(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    async def elsewhere(_: web.Request) -> web.StreamResponse:
        raise web.HTTPTemporaryRedirect("/other")

    engine_server.handlers["/metrics"] = elsewhere
    engine_server.say("/other", "x 1\n")
    fetcher = _fetcher(session, engine_server.url)
    for _ in range(2):
        assert (await fetcher.get({}, 1000, 1000)).body == b"x 1\n"
    answer = await _fetcher(session, engine_server.url, follow_redirects=False).get({}, 1000, 1000)
    assert answer.status == 307


async def test_both_ways_keep_the_limit(engine_server: Served, session: aiohttp.ClientSession) -> None:
    engine_server.say("/metrics", "x" * 2000)
    fetcher = _fetcher(session, engine_server.url)
    for _ in range(2):
        with pytest.raises(FetchFailed, match="larger than 1000 bytes") as caught:
            await fetcher.get({}, 1000, 1000)
        assert caught.value.kind == "too_large"
        fetcher._plain = None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_refused_is_told_apart(session: aiohttp.ClientSession, unused_tcp_port: int, host: str) -> None:
    fetcher = _fetcher(session, f"http://{host}:{unused_tcp_port}/metrics")
    for _ in range(2):
        with pytest.raises(FetchFailed, match=r"^Connection refused$") as caught:
            await fetcher.get({}, 1000, 1000)
        assert (caught.value.kind, caught.value.refused) == ("connection", True)
        fetcher._plain = None


async def test_a_file_that_is_missing_is_not_refused(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    fetcher = _fetcher(session, engine_server.url, authorization={"credentials_file": "/nowhere"})
    with pytest.raises(FetchFailed, match="No such file") as caught:
        await fetcher.get({}, 1000, 1000)
    assert not caught.value.refused


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that a kubelet might have signed itself; `key.pem` lies beside it."""
    return self_signed(tmp_path_factory.mktemp("tls"), "gpu-7")


async def test_https_believes_whom_it_is_told_to(certificate: Path, session: aiohttp.ClientSession) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    app = web.Application()

    async def pods(_: web.Request) -> web.Response:
        return web.Response(text="{}")

    app.router.add_get("/pods", pods)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}/pods"
    named = {"ca_file": str(certificate), "server_name": "gpu-7"}
    for tls in ({"insecure_skip_verify": True}, named):
        answer = await _fetcher(session, url, tls_config=tls).get({}, 1000, 5000)
        assert (answer.status, answer.body) == (200, b"{}")
    for tls in ({}, {**named, "server_name": "gpu-8"}):
        with pytest.raises(FetchFailed, match="certificate") as caught:
            await _fetcher(session, url, tls_config=tls).get({}, 1000, 5000)
        assert (caught.value.kind, caught.value.refused) == ("connection", False)
    await runner.cleanup()
