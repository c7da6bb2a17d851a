"""Health and readiness: what counts as a good answer, what is said of a bad one, and that nobody waits."""

from __future__ import annotations

import asyncio
import logging

import aiohttp
import pytest
from aiohttp import web

from agent.engines.fetch import Fetcher
from agent.engines.probe import Probe, judge
from agent.engines.settings import HealthSettings
from agent.http.answer import Answer
from tests.agent.engines.conftest import Served, until
from wire.scrape import HTTPClientSettings


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, b"", ""),
        (200, b'{"object":"list","data":[{"id":"m"}]}', ""),
        (200, b'{"object":"list","data":[]}', "no_model"),
        (200, b'{"error":{"message":"EngineCore died","code":500}}', "in_band_error"),
        (200, b'{"error":"dead"}', "in_band_error"),
        (200, b'{"object":"error","message":"dead","code":500}', "in_band_error"),
        (200, b'data: {"error":{"message":"queue is full","code":503}}\n\ndata: [DONE]\n\n', "in_band_error"),
        (200, b'data: {"id":"1"}\n\ndata: {"error":{"code":503}}\n\n', "in_band_error"),
        (200, b'{"error":null}', ""),
        (200, b"{broken", ""),
        (200, b"[" * 100_000, ""),
        (200, b'data: {"a":' * 20_000, ""),
        (200, b'{"a":' * 100_000, ""),
        (200, b"error", ""),
        (204, b"", ""),
        (503, b"", "status"),
        (404, b"", "status"),
        (401, b"", "unauthorized"),
    ],
)
def test_a_good_answer(status: int, body: bytes, reason: str) -> None:
    assert judge(Answer(status, {}, body))[0] == reason


def _probe(session: aiohttp.ClientSession, url: str, **settings: object) -> Probe:
    fetcher = Fetcher(url, HTTPClientSettings(), lambda: session, keep=False)
    return Probe("health", "vllm at x", HealthSettings.model_validate(settings), fetcher)


def _said(probe: Probe) -> dict[str, float]:
    return {
        sample.name.removeprefix("fleetowl_engine_") + sample.labels.get("reason", ""): sample.value
        for sample in probe.samples()
        if "duration" not in sample.name
    }


async def test_what_it_found_is_counted_and_said_once(
    engine_server: Served, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    probe = _probe(session, f"{engine_server.origin}/health", timeout="30ms")
    assert _said(probe) == {}, "not asked yet"
    engine_server.say("/health")
    await probe.ask()
    assert _said(probe) == {"health": 1.0}
    engine_server.say("/health", b'{"error":{"message":"EngineCore died"}}')
    for _ in range(3):
        await probe.ask()
    assert _said(probe) == {"health": 0.0, "probe_failures_totalin_band_error": 3.0}
    engine_server.say("/health")
    await probe.ask()
    assert _said(probe) == {"health": 1.0, "probe_failures_totalin_band_error": 3.0}
    assert [record.getMessage() for record in caplog.records] == [
        "the health probe of vllm at x fails: it answered 200 with an error: EngineCore died",
        "the health probe of vllm at x works again",
    ]


async def test_failures_have_their_reasons(
    engine_server: Served, session: aiohttp.ClientSession, unused_tcp_port: int
) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.Event().wait()
        return web.Response()

    engine_server.handlers["/health"] = hang
    probe = _probe(session, f"{engine_server.origin}/health", timeout="20ms")
    await probe.ask()
    assert _said(probe) == {"health": 0.0, "probe_failures_totaltimeout": 1.0}
    gone = _probe(session, f"http://127.0.0.1:{unused_tcp_port}/health")
    await gone.ask()
    assert _said(gone) == {"health": 0.0, "probe_failures_totalconnection": 1.0}


async def test_what_it_cannot_tell_it_does_not_tell(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine_server.say("/health", status=401)
    probe = _probe(session, f"{engine_server.origin}/health")
    await probe.ask()
    assert probe.state == "unknown"
    assert _said(probe) == {"probe_failures_totalunauthorized": 1.0}
    guessed = _probe(session, f"{engine_server.origin}/nowhere")
    await guessed.ask()
    assert _said(guessed) == {"probe_failures_totalabsent": 1.0}, "no page there says nothing of the engine"
    configured = _probe(session, f"{engine_server.origin}/nowhere", path="/nowhere")
    await configured.ask()
    assert _said(configured) == {"health": 0.0, "probe_failures_totalstatus": 1.0}


async def test_it_asks_again_when_told_to_hurry(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine_server.say("/health")
    probe = _probe(session, f"{engine_server.origin}/health")
    task = asyncio.create_task(probe.run(lambda: 1_000_000))
    await until(lambda: probe.state == "good")
    probe.forget()
    assert probe.state == "pending"
    probe.hurry()
    await until(lambda: probe.state == "good")
    assert len(engine_server.requests) == 2
    task.cancel()
