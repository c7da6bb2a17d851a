"""The scrape of one engine: passed through with job, instance and node; whatever it answers stays with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.engines.scrape import Engine
from agent.engines.settings import EngineSettings
from agent.reading import Reading
from model.labels import NAME

PAGE = """\
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 4.0
# TYPE vllm:generation_tokens counter
vllm:generation_tokens_total{engine="0",model_name="m"} 1234.0
# TYPE vllm:ttft_seconds histogram
vllm:ttft_seconds_bucket{le="0.1"} 1
vllm:ttft_seconds_bucket{le="+Inf"} 2
vllm:ttft_seconds_sum 0.3
vllm:ttft_seconds_count 2
"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Served:
    """One engine on loopback whose answer a test exchanges."""

    def __init__(self) -> None:
        self.handler: Handler = self.page
        self.text = PAGE
        self.requests: list[web.Request] = []
        self.url = ""

    async def page(self, _: web.Request) -> web.StreamResponse:
        return web.Response(text=self.text)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.handler(request)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    engine = Served()
    app = web.Application()
    app.router.add_get("/metrics", engine.handle)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    engine.url = f"http://127.0.0.1:{runner.addresses[0][1]}/metrics"
    yield engine
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        yield session


def _engine(session: aiohttp.ClientSession, url: str, **settings: object) -> Engine:
    engine = EngineSettings.model_validate({"job": "vllm", "url": url, **settings})
    return Engine(engine, "gpu-7", 1000, lambda: session)


def _values(reading: Reading) -> dict[str, float]:
    return {
        labels.name + (labels.get("le") or ""): value
        for labels, value in zip(reading.series, reading.values, strict=True)
    }


async def test_series_pass_through_with_the_targets_labels(
    served: Served, session: aiohttp.ClientSession
) -> None:
    engine = _engine(session, served.url, labels={"tier": "gold"})
    reading = await engine.scrape(5000)
    running = reading.series[0]
    instance = served.url.split("/")[2]
    assert dict(running) == {
        NAME: "vllm:num_requests_running",
        "engine": "0",
        "model_name": "m",
        "job": "vllm",
        "instance": instance,
        "node": "gpu-7",
        "tier": "gold",
    }
    values = _values(reading)
    assert values["vllm:generation_tokens_total"] == 1234.0
    assert values["up"] == 1.0
    assert values["scrape_samples_scraped"] == 6.0
    assert reading.at == 5000
    assert reading.types["vllm:generation_tokens_total"] == "counter"
    assert reading.types["vllm:ttft_seconds_bucket"] == "histogram"
    assert reading.types["up"] == "gauge"


async def test_labels_that_the_engine_exports_are_kept(
    served: Served, session: aiohttp.ClientSession
) -> None:
    served.text = 'x{instance="theirs",job="j",node="n",exported_job="old"} 1\n'
    labels = (await _engine(session, served.url, instance="llama-0").scrape(0)).series[0]
    assert labels["instance"] == "llama-0"
    assert labels["exported_instance"] == "theirs"
    assert labels["exported_node"] == "n"
    assert labels["exported_job"] == "old"
    assert labels["exported_exported_job"] == "j"


async def test_label_sets_are_reused_while_nothing_changes(
    served: Served, session: aiohttp.ClientSession
) -> None:
    engine = _engine(session, served.url)
    first = await engine.scrape(0)
    served.text = PAGE.replace("4.0", "5.0")
    second = await engine.scrape(1000)
    assert second.series is first.series
    assert second.values[0] == 5.0
    served.text = PAGE + "extra 1\n"
    third = await engine.scrape(2000)
    assert len(third.series) == len(first.series) + 1


async def _error(_: web.Request) -> web.StreamResponse:
    return web.Response(status=500, text="Internal Server Error")


async def _garbage(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b"\x00\xff{{{ not metrics\n")


async def _hang(_: web.Request) -> web.StreamResponse:
    await asyncio.Event().wait()
    return web.Response()


async def _endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    line = b'x{label="%s"} 1\n' % (b"a" * 1000) * 100
    try:
        while True:
            await answer.write(line)
    except (ConnectionError, asyncio.CancelledError):
        return answer


async def _zipped(_: web.Request) -> web.StreamResponse:
    answer = web.Response(text=PAGE)
    answer.enable_compression(web.ContentCoding.gzip)
    answer.headers["Content-Encoding"] = "gzip"
    return answer


@pytest.mark.parametrize(
    ("handler", "kind", "why"),
    [
        (_error, "status", "answered 500"),
        (_garbage, "malformed", "no metrics page"),
        (_hang, "timeout", "no answer within 50 ms"),
        (_endless, "too_large", "larger than"),
        (_zipped, "malformed", "compressed"),
    ],
)
async def test_a_bad_engine_is_down_with_a_reason(
    served: Served,
    session: aiohttp.ClientSession,
    handler: Handler,
    kind: str,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    engine = _engine(
        session, served.url, timeout="50ms" if kind == "timeout" else "1s", body_size_limit="1MiB"
    )
    good = await engine.scrape(0)
    assert _values(good)["up"] == 1.0
    served.handler = handler
    for at in (1000, 2000):
        reading = await engine.scrape(at)
        assert _values(reading)["up"] == 0.0
        assert {labels.name for labels in reading.series} == {
            "up",
            "scrape_duration_seconds",
            "scrape_samples_scraped",
        }, "nothing else is made up, so the analyzer marks its series stale"
    assert why in engine.reason
    assert engine.stats.failures == {kind: 2}
    assert [record.levelname for record in caplog.records] == ["WARNING"], "said once, not each scrape"
    served.handler = served.page
    assert _values(await engine.scrape(3000))["up"] == 1.0
    assert "works again" in caplog.records[-1].message


async def test_nobody_waits_twice_for_an_engine_that_hangs(
    served: Served, session: aiohttp.ClientSession
) -> None:
    gate = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await served.page(request)

    served.handler = slow
    engine = _engine(session, served.url, timeout="30ms")
    assert _values(await engine.read(0))["up"] == 0.0
    engine.timeout = 60_000
    async with asyncio.timeout(5):
        for at in (1000, 2000):
            assert _values(await engine.read(at))["up"] == 0.0, "at once"
        assert engine._attempt is not None
        gate.set()
        await engine._attempt
        assert _values(await engine.read(3000))["up"] == 1.0
    assert len(served.requests) == 3, "one attempt at a time"
    await engine.close()


async def test_nobody_listens(session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    engine = _engine(session, f"http://127.0.0.1:{unused_tcp_port}/metrics")
    assert _values(await engine.scrape(0))["up"] == 0.0
    assert engine.reason == "Connection refused"
    (sample,) = engine.samples()
    assert sample.labels["reason"] == "connection"
    assert sample.value == 1.0


async def test_credentials_are_sent_and_read_anew(
    served: Served, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    engine = _engine(session, served.url, authorization={"credentials_file": str(secret)})
    assert _values(await engine.scrape(0))["up"] == 0.0
    assert "No such file" in engine.reason
    for word in ("first", "second"):
        secret.write_text(word + "\n")
        await engine.scrape(0)
        assert served.requests[-1].headers["Authorization"] == f"Bearer {word}"


async def test_refused_samples_are_counted(served: Served, session: aiohttp.ClientSession) -> None:
    served.text = "x 1\nx 2\n"
    engine = _engine(session, served.url)
    await engine.scrape(0)
    assert engine.stats.refused == {"duplicate": 1}


async def test_an_openmetrics_page_must_end(served: Served, session: aiohttp.ClientSession) -> None:
    async def cut(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=b"x 1\n", headers={"Content-Type": "application/openmetrics-text; version=1.0.0"}
        )

    served.handler = cut
    engine = _engine(session, served.url)
    assert _values(await engine.scrape(0))["up"] == 0.0
    assert "EOF" in engine.reason
