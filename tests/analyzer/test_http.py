"""The HTTP service: who may write, what is answered, and what wrong input gets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from analyzer.access import Overload
from analyzer.catalogue import METRICS
from analyzer.formats import format_value
from analyzer.service import Analyzer
from model.settings import ConfigurationError
from tests.analyzer.conftest import settings_of

Run = Callable[..., Awaitable[Analyzer]]


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    session = aiohttp.ClientSession()
    yield session
    await session.close()


async def test_writes_need_the_token_and_reads_do_not(run_analyzer: Run, http: aiohttp.ClientSession) -> None:
    analyzer = await run_analyzer(analyzer={"token": "s3cret"})
    base = f"http://{analyzer.address}"
    for path in ("/api/v1/write", "/api/v1/frames", "/-/reload", "/api/v1/runbooks/undo/x"):
        async with http.post(base + path) as response:
            assert response.status == 401, path
        async with http.post(base + path, headers={"Authorization": "Bearer wrong"}) as response:
            assert response.status == 401, path
        for nearly in ("s", "s3cre", "s3crets"):
            headers = {"Authorization": f"Bearer {nearly}"}
            async with http.post(base + path, headers=headers) as response:
                assert response.status == 401, (path, nearly)
        async with http.post(base + path, headers={"Authorization": "Bearer s3cret"}) as response:
            assert response.status != 401, path
    for path in ("/api/v1/query?query=up", "/metrics", "/-/healthy", "/api/v1/alerts"):
        async with http.get(base + path) as response:
            assert response.status == 200, path
    for name in ("query", "query_range", "query_exemplars", "format_query", "series", "labels"):
        asked = {"query": "up", "match[]": "up", "start": "1", "end": "2", "step": "1"}
        async with http.post(f"{base}/api/v1/{name}", data=asked) as response:
            assert response.status == 200, name


async def test_a_token_of_strange_bytes_is_a_wrong_one(run_analyzer: Run) -> None:
    analyzer = await run_analyzer(analyzer={"token": "s3cret"})
    reader, writer = await asyncio.open_connection(*analyzer.address.rsplit(":", 1))
    writer.write(b"POST /-/reload HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_no_prefix_takes_the_place_of_the_token(run_analyzer: Run, http: aiohttp.ClientSession) -> None:
    own = {"external_url": "https://mon.example/ack/fleetowl"}
    analyzer = await run_analyzer(analyzer={"token": "s3cret"}, alertmanager=own)
    for path in ("/api/v2/alerts", "/api/v2/silences", "/-/reload"):
        async with http.post(f"http://{analyzer.address}/ack/fleetowl{path}", data=b"[]") as response:
            assert response.status == 401, path
    async with http.post(f"http://{analyzer.address}/ack/unknown") as response:
        assert response.status != 401, "a link carries a signature instead"


def test_it_does_not_listen_to_others_without_a_token(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="set token_file, or listen on"):
        settings_of(tmp_path, analyzer={"listen": "0.0.0.0:9480"})
    with pytest.raises(ConfigurationError, match="set token_file, or listen on"):
        settings_of(tmp_path, analyzer={"listen": ":9480"})
    settings_of(tmp_path, analyzer={"listen": "0.0.0.0:9480", "token": "s3cret"})
    settings_of(tmp_path, analyzer={"listen": ":9480", "token": "s3cret"})


async def test_a_taken_address_says_the_way_out(run_analyzer: Run, tmp_path: Path) -> None:
    first = await run_analyzer()
    settings = settings_of(tmp_path / "other", analyzer={"listen": first.address})
    second = Analyzer(settings, lambda: settings)
    with pytest.raises(ConfigurationError, match="choose another port"):
        await second.start()
    await second.stop()


async def test_own_metrics_parse_and_are_declared(run_analyzer: Run, http: aiohttp.ClientSession) -> None:
    analyzer = await run_analyzer(rules={"shipped": True})
    async with http.get(f"http://{analyzer.address}/metrics") as response:
        text = await response.text()
    families = list(text_string_to_metric_families(text))
    declared = {metric.name.removesuffix("_total") for metric in METRICS}
    assert {family.name for family in families} <= declared
    assert all(family.documentation for family in families)
    assert any(family.name == "fleetowl_tick_step_seconds" for family in families)


@pytest.mark.parametrize(
    ("query", "status", "part"),
    [
        ("", 400, ""),
        ("rate(up)", 400, "matrix"),
        ("holt_winters(up[5m], 1, 1)", 400, "holt_winters"),
        ("up{", 400, ""),
    ],
)
async def test_a_wrong_query_is_told_why(
    run_analyzer: Run, http: aiohttp.ClientSession, query: str, status: int, part: str
) -> None:
    analyzer = await run_analyzer()
    url = f"http://{analyzer.address}/api/v1/query"
    async with http.get(url, params={"query": query}) as response:
        body = await response.json()
        assert response.status == status
        assert body["status"] == "error"
        assert part in body["error"]


async def test_results_have_prometheus_shapes(run_analyzer: Run, http: aiohttp.ClientSession) -> None:
    analyzer = await run_analyzer()
    url = f"http://{analyzer.address}/api/v1/query"
    async with http.get(url, params={"query": "1 + 1", "time": "1800000000"}) as response:
        assert (await response.json())["data"] == {"resultType": "scalar", "result": [1800000000.0, "2"]}
    async with http.get(url, params={"query": "vector(1e21)", "time": "1800000000"}) as response:
        body = await response.json()
        assert body["data"]["result"] == [{"metric": {}, "value": [1800000000, "1e+21"]}]
    async with http.get(url, params={"query": "up", "time": "1"}) as response:
        assert "the window begins at" in (await response.json())["warnings"][0]
    async with http.get(url, params={"query": "up", "time": "yesterday"}) as response:
        assert response.status == 400


async def test_malformed_bodies_are_400_and_too_large_ones_413(
    run_analyzer: Run, http: aiohttp.ClientSession
) -> None:
    analyzer = await run_analyzer(analyzer={"max_request_size": 1000})
    base = f"http://{analyzer.address}"
    async with http.post(f"{base}/api/v1/frames", data=b"garbage") as response:
        assert response.status == 400
    async with http.post(f"{base}/api/v1/frames", data=b"x" * 2000) as response:
        assert response.status == 413
    async with http.post(f"{base}/api/v1/write", data=b"garbage") as response:
        assert response.status in (400, 415)
    async with http.get(f"{base}/api/v1/incidents/INC-1") as response:
        assert response.status == 404


async def test_docs_list_the_routes_that_are_there(run_analyzer: Run) -> None:
    analyzer = await run_analyzer()
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
    listed = {
        (method, path)
        for methods, path in re.findall(r"^\| ([A-Z, ]+) \| `(/[^`]*)` \|", page, re.MULTILINE)
        for method in methods.split(", ")
    }
    mounted = {
        (route.method, route.resource.canonical)
        for route in analyzer._runner.app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and not route.resource.canonical.startswith("/{prefix}")  # the same once more
    }
    assert listed == mounted


async def test_overload_is_429_with_a_time_to_come_back() -> None:
    overload = Overload(1)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        entered.set()
        await leave.wait()
        return web.Response()

    app = web.Application(middlewares=[overload.middleware()])
    app.router.add_post("/api/v1/write", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/api/v1/write"
    async with aiohttp.ClientSession() as session:
        first = asyncio.create_task(session.post(url))
        await entered.wait()
        async with session.post(url) as response:
            assert response.status == 429
            assert response.headers["Retry-After"] == "1"
        leave.set()
        assert (await first).status == 200
        async with session.post(url) as response:
            assert response.status == 200
    assert overload.refused == 1
    await runner.cleanup()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (1e-7, "1e-07"),
        (1.5e-5, "0.000015"),
        (float("nan"), "NaN"),
        (float("inf"), "+Inf"),
        (-0.0, "-0"),
    ],
)
def test_values_are_spelled_as_go_spells_them(value: float, text: str) -> None:
    assert format_value(value) == text


@pytest.mark.parametrize(
    "query", ["1+" * 8000 + "x", "1+" * 500 + "x", "-" * 7000 + "x", "(" * 900 + "1", "x" * 99_999]
)
async def test_a_hostile_query_is_refused_and_harms_nobody(
    run_analyzer: Run, http: aiohttp.ClientSession, query: str
) -> None:
    analyzer = await run_analyzer()
    url = f"http://{analyzer.address}/api/v1/query"
    async with http.post(url, data={"query": query}) as response:
        assert response.status == 400
    async with http.get(url, params={"query": "1"}) as response:
        assert response.status == 200


async def test_reloads_wait_for_each_other(run_analyzer: Run, http: aiohttp.ClientSession) -> None:
    analyzer = await run_analyzer(
        rules={"shipped": True},
        scrape_configs=[{"job_name": "a", "static_configs": [{"targets": ["127.0.0.1:1"]}]}],
    )

    async def reload() -> int:
        async with http.post(f"http://{analyzer.address}/-/reload") as response:
            return response.status

    assert await asyncio.gather(*(reload() for _ in range(4))) == [200] * 4
