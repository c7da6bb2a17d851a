"""Grafana's Prometheus data source, call by call, as Grafana 10 and 11 make them.

Sources: grafana/grafana pkg/promlib (client, healthcheck, heuristics, models/query) and
packages/grafana-prometheus (datasource, resource clients).
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from analyzer.service import Analyzer
from tests.analyzer.reading import Client, fill

Run = Callable[..., Awaitable[Analyzer]]

MACROS = {"$__rate_interval": "1m0s", "$__interval": "30s", "$__range": "120s"}
VARIABLES = {
    "instance": ".*",
    "gpu": "(0|1)",
    "model_name": "tiny-llama",
    "Deployment_id": "tiny-llama",
    "service": "tgi",
}


@pytest.fixture
async def grafana(run_analyzer: Run, shared_data: Path) -> AsyncIterator[tuple[Client, float]]:
    """A client, and the moment (s) of the newest sample."""
    analyzer = await run_analyzer(rules={"shipped": True}, detectors={"enabled": False})
    pages = {
        "vllm": shared_data / "vllm" / "after-light-load.prom",
        "dcgm": shared_data / "captures" / "dcgm-exporter-real-L4-idle.prom",
        "node": shared_data / "captures" / "node_exporter-1.5-debian12.prom",
    }
    now = analyzer.clock.now()
    fill(analyzer, pages, now)
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://{analyzer.address}"), now / 1000


Grafana = tuple[Client, float]


async def test_the_health_check_succeeds(grafana: Grafana) -> None:
    client, _ = grafana
    for method in ("GET", "POST"):
        status, body = await client.ask("/api/v1/query", {"query": "1+1", "time": "4"}, method)
        assert (status, body["data"]) == (200, {"resultType": "scalar", "result": [4, "2"]})


async def test_it_is_taken_for_a_prometheus(grafana: Grafana) -> None:
    client, _ = grafana
    info = await client.get("/api/v1/status/buildinfo")
    assert not info.get("features"), "with features Grafana takes it for a Mimir"
    assert int(info["version"].partition(".")[0]) >= 3


async def test_a_panel_asks_by_a_posted_form(grafana: Grafana) -> None:
    client, now = grafana
    end = now // 15 * 15
    asked = {"query": "node_load1", "start": f"{end - 90}", "end": f"{end}", "step": "15", "timeout": "60s"}
    status, body = await client.ask("/api/v1/query_range", asked, "POST")
    assert status == 200
    assert list(body["data"]) == ["resultType", "result"], "Grafana reads the type before the result"
    (series,) = body["data"]["result"]
    assert series["metric"] == {"__name__": "node_load1", "instance": "node:9100", "job": "node"}
    assert [at for at, _ in series["values"]] == [end - 90 + 15 * step for step in range(7)]
    asked = {"query": "node_load1", "time": f"{now:.3f}"}
    status, body = await client.ask("/api/v1/query", asked, "POST")
    assert body["data"]["result"][0]["value"][1] == series["values"][-1][1]


async def test_the_query_builder_asks_for_names_and_values(grafana: Grafana) -> None:
    client, now = grafana
    span = {"start": f"{int(now) - 3600}", "end": f"{int(now)}"}
    _, body = await client.ask("/api/v1/labels", span, "POST")
    assert {"__name__", "job", "instance", "gpu", "le"} <= set(body["data"])
    _, body = await client.ask("/api/v1/labels", {**span, "match[]": "node_cpu_seconds_total"}, "POST")
    assert body["data"] == ["__name__", "cpu", "instance", "job", "mode"]
    names = await client.get("/api/v1/label/__name__/values", {**span, "limit": "40000"})
    assert {"node_load1", "DCGM_FI_DEV_GPU_TEMP", "vllm:num_requests_running"} <= set(names)
    asked = {**span, "match[]": 'node_cpu_seconds_total{mode!~"i.*"}'}
    assert await client.get("/api/v1/label/mode/values", asked) == [
        "nice",
        "softirq",
        "steal",
        "system",
        "user",
    ]
    for method in ("GET", "POST"):
        asked = {**span, "match[]": 'node_load1{job="node"}', "limit": "100"}
        _, body = await client.ask("/api/v1/series", asked, method)
        assert body["data"] == [{"__name__": "node_load1", "instance": "node:9100", "job": "node"}]


async def test_a_dashboard_variable_asks_for_label_values(grafana: Grafana) -> None:
    client, now = grafana
    span = {"start": f"{int(now) - 900}", "end": f"{int(now)}"}
    asked = {**span, "match[]": "DCGM_FI_DEV_GPU_TEMP"}
    assert await client.get("/api/v1/label/gpu/values", asked) == ["0"]
    assert await client.get("/api/v1/label/model_name/values", span) != []


async def test_metadata_has_type_help_and_unit(grafana: Grafana) -> None:
    client, _ = grafana
    found = await client.get("/api/v1/metadata", {"limit": "40000"})
    assert {"type": "counter", "unit": ""}.items() <= found["fleetowl_ticks_total"][0].items()
    assert found["fleetowl_ticks_total"][0]["help"] == "Ticks run since the start."
    assert await client.get("/api/v1/metadata", {"metric": "nothing_like_it"}) == {}


async def test_alerting_reads_the_rules(grafana: Grafana) -> None:
    client, _ = grafana
    for parameters in ({}, {"type": "alert"}, {"type": "record"}, {"group_limit": "2"}):
        data = await client.get("/api/v1/rules", parameters)
        for group in data["groups"]:
            assert {"name", "file", "rules", "interval", "lastEvaluation", "evaluationTime"} <= set(group)


async def test_it_looks_for_exemplars(grafana: Grafana) -> None:
    client, now = grafana
    asked = {"query": "test", "start": f"{now - 1800}", "end": f"{now}"}
    assert await client.get("/api/v1/query_exemplars", asked) == []


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in dashboard.get("panels", []):
        yield panel
        yield from panels(panel)


def expressions(path: Path) -> list[str]:
    """The panel queries of a dashboard as Grafana sends them, its macros and variables filled in."""
    found = []
    for panel in panels(json.loads(path.read_text())):
        for target in panel.get("targets", []):
            text = target.get("expr") or ""
            for macro, value in MACROS.items():
                text = text.replace(macro, value)
            text = re.sub(r"\$\{?(\w+)\}?", lambda name: VARIABLES[name[1]], text)
            if text:
                found.append(text)
    return found


async def test_every_panel_of_the_published_dashboards_is_answered(
    grafana: Grafana, shared_data: Path
) -> None:
    client, now = grafana
    answered: dict[str, int] = {}
    for path in sorted((shared_data / "grafana").glob("*.json")):
        for query in expressions(path):
            asked = {"query": query, "start": f"{now - 120}", "end": f"{now}", "step": "15"}
            status, body = await client.ask("/api/v1/query_range", asked, "POST")
            assert status == 200, (path.name, query, body)
            instant = await client.ask("/api/v1/query", {"query": query, "time": f"{now}"}, "POST")
            assert instant[0] == 200, (path.name, query, instant[1])
            if body["data"]["result"]:
                answered[path.name] = answered.get(path.name, 0) + 1
    assert answered["nvidia-dcgm-exporter-dashboard.json"] == 8
    assert answered["vllm-official-grafana.json"] == 32, answered
