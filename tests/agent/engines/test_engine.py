"""The scrape of one engine: passed through with job, instance and node; whatever it answers stays with it."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.engines.budget import NodeBudget
from agent.engines.engine import Engine
from agent.engines.settings import EngineSettings
from agent.reading import Reading
from model.labels import NAME
from tests.agent.engines.conftest import PAGE, Handler, Served, until


def _engine(session: aiohttp.ClientSession, url: str, **settings: object) -> Engine:
    off = {"health": {"enabled": False}, "readiness": {"enabled": False}}
    engine = EngineSettings.model_validate({"job": "vllm", "url": url, **off, **settings})
    return Engine(engine, "gpu-7", 1000, lambda: session)


def _values(reading: Reading) -> dict[str, float]:
    return {
        labels.name + (labels.get("le") or ""): value
        for labels, value in zip(reading.series, reading.values, strict=True)
    }


def _status(reading: Reading) -> tuple[str, str]:
    (labels,) = (each for each in reading.series if each.name == "fleetowl_engine_status")
    return labels["state"], labels.value("reason")


async def test_series_pass_through_with_the_targets_labels(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine = _engine(session, engine_server.url, labels={"tier": "gold"})
    reading = await engine.scrape(5000)
    running = reading.series[0]
    instance = engine_server.url.split("/")[2]
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
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine_server.say("/metrics", 'x{instance="theirs",job="j",node="n",exported_job="old"} 1\n')
    labels = (await _engine(session, engine_server.url, instance="llama-0").scrape(0)).series[0]
    assert labels["instance"] == "llama-0"
    assert labels["exported_instance"] == "theirs"
    assert labels["exported_node"] == "n"
    assert labels["exported_job"] == "old"
    assert labels["exported_exported_job"] == "j"


async def test_label_sets_are_reused_while_nothing_changes(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine = _engine(session, engine_server.url)
    first = await engine.scrape(0)
    engine_server.say("/metrics", PAGE.replace("4.0", "5.0"))
    second = await engine.scrape(1000)
    assert second.series is first.series
    assert second.values[0] == 5.0
    engine_server.say("/metrics", PAGE + "extra 1\n")
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
    engine_server: Served,
    session: aiohttp.ClientSession,
    handler: Handler,
    kind: str,
    why: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "fleetowl.agent")
    engine = _engine(
        session, engine_server.url, timeout="50ms" if kind == "timeout" else "1s", body_size_limit="1MiB"
    )
    good = await engine.scrape(0)
    assert _values(good)["up"] == 1.0
    engine_server.handlers["/metrics"] = handler
    for at in (1000, 2000):
        reading = await engine.scrape(at)
        assert _values(reading)["up"] == 0.0
        names = {labels.name for labels in reading.series if not labels.name.startswith("fleetowl_engine_")}
        assert names == {"up", "scrape_duration_seconds", "scrape_samples_scraped"}, (
            "nothing else is made up, so the analyzer marks its series stale"
        )
        assert _status(reading) == ("down", kind)
    assert why in engine.reason
    assert engine.scraper.stats.failures == {kind: 2}
    assert [record.levelname for record in caplog.records] == ["WARNING"], "said once, not each scrape"
    engine_server.say("/metrics", PAGE)
    assert _values(await engine.scrape(3000))["up"] == 1.0
    assert "works again" in caplog.records[-1].message


async def test_nobody_waits_twice_for_an_engine_that_hangs(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    gate, page = asyncio.Event(), engine_server.handlers["/metrics"]

    async def slow(request: web.Request) -> web.StreamResponse:
        await gate.wait()
        return await page(request)

    engine_server.handlers["/metrics"] = slow
    engine = _engine(session, engine_server.url, timeout="30ms")
    assert _values(await engine.read(0))["up"] == 0.0
    engine.scraper.timeout = 60_000
    async with asyncio.timeout(5):
        for at in (1000, 2000):
            assert _values(await engine.read(at))["up"] == 0.0, "at once"
        assert engine._attempt is not None
        gate.set()
        await engine._attempt
        assert _values(await engine.read(3000))["up"] == 1.0
    assert len(engine_server.requests) == 3, "one attempt at a time"
    await engine.close()


async def test_nobody_listens(session: aiohttp.ClientSession, unused_tcp_port: int) -> None:
    engine = _engine(session, f"http://127.0.0.1:{unused_tcp_port}/metrics")
    assert _values(await engine.scrape(0))["up"] == 0.0
    assert engine.reason == "Connection refused"
    (sample,) = engine.samples()
    assert sample.labels["reason"] == "connection"
    assert sample.value == 1.0


async def test_credentials_are_sent_and_read_anew(
    engine_server: Served, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    secret = tmp_path / "token"
    engine = _engine(session, engine_server.url, authorization={"credentials_file": str(secret)})
    assert _values(await engine.scrape(0))["up"] == 0.0
    assert "No such file" in engine.reason
    for word in ("first", "second"):
        secret.write_text(word + "\n")
        await engine.scrape(0)
        assert engine_server.requests[-1].headers["Authorization"] == f"Bearer {word}"


async def test_refused_samples_are_counted(engine_server: Served, session: aiohttp.ClientSession) -> None:
    engine_server.say("/metrics", "x 1\nx 2\n")
    engine = _engine(session, engine_server.url)
    await engine.scrape(0)
    assert engine.scraper.stats.refused == {"duplicate": 1}


async def test_an_openmetrics_page_must_end(engine_server: Served, session: aiohttp.ClientSession) -> None:
    async def cut(_: web.Request) -> web.StreamResponse:
        return web.Response(
            body=b"x 1\n", headers={"Content-Type": "application/openmetrics-text; version=1.0.0"}
        )

    engine_server.handlers["/metrics"] = cut
    engine = _engine(session, engine_server.url)
    assert _values(await engine.scrape(0))["up"] == 0.0
    assert "EOF" in engine.reason


# What the agent derives, and what it does with a page that harms.


def _of(reading: Reading, name: str) -> dict[str, float]:
    """The values of one of our own series, by what its other labels say."""
    found = {}
    for labels, value in zip(reading.series, reading.values, strict=True):
        if labels.name == name:
            rest = labels.without(NAME, "job", "instance", "node")
            found[",".join(f"{key}={word}" for key, word in rest.items())] = value
    return found


async def test_too_many_series_are_capped_and_said(
    engine_server: Served, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    junk = "".join(f'junk{{n="{number}"}} {number}\n' for number in range(50_000))
    engine_server.say("/metrics", junk + PAGE)
    engine = _engine(session, engine_server.url, sample_limit=1000)
    for at in (1000, 2000):
        reading = await engine.scrape(at)
        assert _values(reading)["vllm:generation_tokens_total"] == 1234.0, "serving comes first"
        assert _values(reading)["up"] == 1.0
        assert _values(reading)["scrape_samples_scraped"] == 1000.0
        assert _status(reading) == ("limited", "sample_limit")
    assert engine.scraper.stats.refused == {"sample_limit": 2 * 49_006}
    assert len(engine.scraper.reader._decoder.labels) == 1000, "nothing is remembered of the rest"
    assert [record.getMessage() for record in caplog.records] == [
        f"{engine} shows too many series: 1000 of 50006 are taken, those of serving first (sample_limit)"
    ]
    engine_server.say("/metrics", PAGE)
    assert _status(await engine.scrape(3000)) == ("up", "")


async def test_engines_share_the_series_of_their_node(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine_server.say("/metrics", "".join(f'junk{{n="{number}"}} 1\n' for number in range(100)))
    budget = NodeBudget(120)
    settings = EngineSettings.model_validate(
        {"job": "x", "url": engine_server.url, "health": {"enabled": False}, "readiness": {"enabled": False}}
    )
    one, other = (Engine(settings, "n", 1000, lambda: session, budget=budget) for _ in range(2))
    assert _status(await one.scrape(0)) == ("up", "")
    reading = await other.scrape(0)
    assert _status(reading) == ("limited", "engine_series")
    assert _values(reading)["scrape_samples_scraped"] == 60.0, "an equal share"
    assert other.scraper.stats.refused == {"engine_series": 40}
    assert "(engine_series)" in other.reason
    reading = await one.scrape(1000)
    assert _status(reading) == ("limited", "engine_series"), "who has more is cut back"
    assert _values(reading)["scrape_samples_scraped"] == 60.0
    await one.close()
    await one.scrape(1500)
    assert _status(await other.scrape(2000)) == ("up", ""), "one that is closed holds nothing"


async def test_garbage_of_another_kind_each_time_is_one_line_in_the_log(
    engine_server: Served, session: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    engine = _engine(session, engine_server.url)
    for number in range(5):
        engine_server.say("/metrics", f"{number} ][ garbage\n")
        assert _status(await engine.scrape(number * 1000)) == ("down", "malformed")
    assert len(caplog.records) == 1


async def test_other_series_of_the_same_number_are_other_series(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine = _engine(session, engine_server.url)
    for name in ("a", "b", "a"):
        engine_server.say("/metrics", f"{name} 1\n")
        assert (await engine.scrape(0)).series[0].name == name


async def test_series_that_change_each_time_are_forgotten(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine = _engine(session, engine_server.url)
    for number in range(60):
        engine_server.say("/metrics", "".join(f"x{number}_{place} 1\n" for place in range(300)))
        await engine.scrape(number * 1000)
    assert len(engine.scraper.reader._decoder.labels) < 30 * 300


ON: dict[str, object] = {"health": {}, "readiness": {}}


async def test_probes_version_and_cold_start(engine_server: Served, session: aiohttp.ClientSession) -> None:
    engine_server.say("/metrics", "process_start_time_seconds 940\n" + PAGE.replace("1234.0", "0.0"))
    engine_server.say("/version", b'{"version": "0.32.0"}')
    engine_server.say("/health")
    engine_server.say("/v1/models", status=503)
    engine = _engine(session, engine_server.url, **ON)
    reading = await engine.read(1_000_000)
    await until(lambda: engine.probes.ready() is False and bool(engine.probes.version))
    reading = await engine.read(1_001_000)
    assert _of(reading, "fleetowl_engine_health") == {"probe=health": 1.0, "probe=readiness": 0.0}
    assert _of(reading, "fleetowl_engine_probe_failures_total") == {"probe=readiness,reason=status": 1.0}
    assert _of(reading, "fleetowl_engine_cold_start_seconds") == {"model_name=m": 61.0}
    assert _of(reading, "fleetowl_engine_start_time_seconds") == {"": 940.0}
    assert _of(reading, "fleetowl_engine_info") == {
        "engine_kind=vllm,engine_version=0.32.0,model_name=m": 1.0
    }
    assert _of(reading, "fleetowl_engine_progress_age_seconds").keys() == {"engine=0,model_name=m"}
    engine_server.say("/v1/models", b'{"object":"list","data":[{"id":"m"}]}')
    engine.probes.by_name["readiness"].hurry()
    await until(lambda: engine.probes.ready() is True)
    for at in (1_010_000, 1_900_000):
        assert _of(await engine.read(at), "fleetowl_engine_cold_start_seconds") == {"model_name=m": 70.0}
    await engine.close()


async def test_a_health_probe_that_hangs_delays_no_scrape(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine_server.say("/metrics", PAGE)
    engine_server.handlers["/health"] = engine_server.handlers["/v1/models"] = _hang
    engine = _engine(session, engine_server.url, **ON)
    async with asyncio.timeout(1):
        for at in range(0, 5000, 1000):
            assert _values(await engine.read(at))["up"] == 1.0
    await engine.close()


async def test_an_engine_that_is_gone_is_said_once_and_starts_anew(
    session: aiohttp.ClientSession, unused_tcp_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    engine = _engine(session, f"http://127.0.0.1:{unused_tcp_port}/metrics", **ON)
    await engine.read(1_000_000)
    health = engine.probes.by_name["health"]
    await until(lambda: health.state == "bad")
    reading = await engine.read(1_030_000)
    assert _status(reading) == ("down", "connection")
    assert _of(reading, "fleetowl_engine_cold_start_seconds") == {"": 30.0}
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1
    await engine.close()


async def test_the_kind_is_told_by_the_page_where_the_job_does_not(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine_server.say("/metrics", PAGE)
    engine = _engine(session, engine_server.url, job="llama", **ON)
    await engine.read(0)
    assert not engine.probes.by_name
    await engine.read(1000)
    assert set(engine.probes.by_name) == {"health", "readiness"}
    plain = _engine(session, engine_server.url, job="gateway", kind="triton", **ON)
    await plain.read(0)
    await plain.read(1000)
    assert not plain.probes.by_name, "what is configured goes before what the page looks like"
    await engine.close()


async def test_probes_can_be_pointed_elsewhere(engine_server: Served, session: aiohttp.ClientSession) -> None:
    engine_server.say("/metrics", "x 1\n")
    engine_server.say("/v2/health/ready")
    elsewhere = {"path": f"{engine_server.origin}/v2/health/ready"}
    engine = _engine(session, engine_server.url, job="app", health=elsewhere)
    await engine.read(0)
    await until(lambda: engine.probes.by_name["health"].state == "good")
    assert engine_server.requests[-1].path == "/v2/health/ready"
    await engine.close()


async def test_one_that_served_before_the_agent_came_does_not_start_when_it_is_not_ready(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine_server.say("/metrics", "process_start_time_seconds 940\n" + PAGE)
    engine_server.say("/v1/models", status=503)
    engine = _engine(session, engine_server.url, **ON)
    await engine.read(1_000_000)
    await until(lambda: engine.probes.ready() is False)
    reading = await engine.read(1_001_000)
    assert not _of(reading, "fleetowl_engine_cold_start_seconds")
    assert _of(reading, "fleetowl_engine_health")["probe=readiness"] == 0.0
    await engine.close()


async def test_an_engine_that_is_let_go_during_a_scrape_leaves_nothing_behind(
    engine_server: Served, session: aiohttp.ClientSession
) -> None:
    engine = _engine(session, engine_server.url, **ON)
    await engine.close()
    await engine.read(0)
    assert not engine.probes.by_name
