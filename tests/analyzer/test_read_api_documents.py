"""Prometheus' read API: rules, alerts, targets, federation, and how answers are sent."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest

from analyzer.service import Analyzer
from model.labels import NAME, Labels
from model.moment import MINUTE
from tests.analyzer.heat import write
from tests.analyzer.reading import Client, Parameter

Run = Callable[..., Awaitable[Analyzer]]


async def until(condition: Callable[[], Awaitable[Any]]) -> Any:
    for _ in range(200):
        if found := await condition():
            return found
        await asyncio.sleep(0.05)
    raise AssertionError("not within 10 s")


async def test_rules_and_alerts_have_prometheus_keys(analyzer: Analyzer, client: Client) -> None:
    write(analyzer, {"a": 90.0, "b": -20.0})

    async def evaluated() -> Any:
        groups = (await client.get("/api/v1/rules"))["groups"]
        health = [rule["health"] for group in groups for rule in group["rules"]]
        return groups if health[-1] == "err" and groups[0]["rules"][0]["alerts"] else None

    heat, other = await until(evaluated)
    assert (heat["name"], heat["interval"], heat["limit"]) == ("heat", 1, 7)
    assert heat["file"].endswith("heat.rules.yml")
    assert "missed" in heat["fleetowl"]
    hot, freezing, record = heat["rules"]
    assert {**hot, "alerts": [], "lastEvaluation": "", "evaluationTime": 0, "fleetowl": {}} == {
        "state": "firing",
        "name": "Hot",
        "query": "temperature > 80",
        "duration": 0,
        "keepFiringFor": 60,
        "labels": {"tier": "P1", "team": "{{ $labels.room }}"},
        "annotations": {"summary": "{{ $value }} degrees"},
        "alerts": [],
        "health": "ok",
        "evaluationTime": 0,
        "lastEvaluation": "",
        "type": "alerting",
        "fleetowl": {},
    }
    assert hot["fleetowl"]["tier"] == "P1"
    (alert,) = hot["alerts"]
    assert alert["value"] == "9e+01"
    assert alert["labels"] == {
        "alertname": "Hot", "instance": "attic", "room": "a", "team": "a", "tier": "P1",
    }  # fmt: skip
    assert alert["annotations"] == {"summary": "90 degrees"}
    assert (freezing["state"], freezing["alerts"][0]["state"]) == ("pending", "pending")
    assert (record["type"], record["name"], "state" in record) == ("recording", "room:temperature:max", False)
    assert other["rules"][0]["health"] == "err"
    assert other["rules"][0]["lastError"]
    alerts = (await client.get("/api/v1/alerts"))["alerts"]
    assert sorted((one["labels"]["alertname"], one["state"], one["value"]) for one in alerts) == [
        ("Freezing", "pending", "-2e+01"),
        ("Hot", "firing", "9e+01"),
    ]
    write(analyzer, {"a": 20.0})

    async def kept() -> Any:
        alerts = (await client.get("/api/v1/alerts"))["alerts"]
        return [one for one in alerts if "keepFiringSince" in one]

    assert (await until(kept))[0]["labels"]["alertname"] == "Hot"


@pytest.mark.parametrize(
    ("parameters", "rules"),
    [
        ({"type": "record"}, ["room:temperature:max"]),
        ({"type": "alert", "rule_group[]": "heat"}, ["Hot", "Freezing"]),
        ({"rule_name[]": ["Hot", "Broken"]}, ["Hot", "Broken"]),
        ({"rule_group[]": "other"}, ["Broken"]),
        ({"file[]": "elsewhere.yml"}, []),
        ({"match[]": '{tier="P2"}'}, ["Freezing"]),
        ({"match[]": ['{tier="P2"}', '{tier="P1"}']}, ["Hot", "Freezing"]),
        ({"group_limit": "1"}, ["Hot", "Freezing", "room:temperature:max"]),
    ],
)
async def test_rules_are_filtered(client: Client, parameters: dict[str, Parameter], rules: list[str]) -> None:
    groups = (await client.get("/api/v1/rules", parameters))["groups"]
    assert [rule["name"] for group in groups for rule in group["rules"]] == rules
    assert all(group["rules"] for group in groups)


async def test_rule_groups_come_in_pages(client: Client) -> None:
    first = await client.get("/api/v1/rules", {"group_limit": "1"})
    asked = {"group_limit": "1", "group_next_token": first["groupNextToken"]}
    second = await client.get("/api/v1/rules", asked)
    assert [group["name"] for group in second["groups"]] == ["other"]
    assert "groupNextToken" not in second


async def test_alerts_are_left_out_on_request(analyzer: Analyzer, client: Client) -> None:
    write(analyzer, {"a": 90.0})

    async def firing() -> Any:
        return (await client.get("/api/v1/alerts"))["alerts"]

    await until(firing)
    groups = (await client.get("/api/v1/rules", {"exclude_alerts": "true", "type": "alert"}))["groups"]
    hot = groups[0]["rules"][0]
    assert (hot["state"], hot["alerts"]) == ("firing", [])


async def test_targets_by_state_and_pool(run_analyzer: Run) -> None:
    drop = {"action": "drop", "source_labels": ["__address__"], "regex": ".*:2"}
    analyzer = await run_analyzer(
        scrape_configs=[
            {
                "job_name": name,
                "static_configs": [{"targets": ["127.0.0.1:1", "127.0.0.1:2"]}],
                "relabel_configs": [drop],
            }
            for name in ("a", "b")
        ]
    )
    async with aiohttp.ClientSession() as session:
        client = Client(session, f"http://{analyzer.address}")
        everything = await client.get("/api/v1/targets")
        assert [one["scrapePool"] for one in everything["activeTargets"]] == ["a", "b"]
        assert [one["discoveredLabels"]["__address__"] for one in everything["droppedTargets"]] == [
            "127.0.0.1:2"
        ] * 2
        assert everything["droppedTargetCounts"] == {"a": 1, "b": 1}
        active = await client.get("/api/v1/targets", {"state": "active", "scrapePool": "a"})
        assert (len(active["activeTargets"]), active["droppedTargets"]) == (1, [])
        dropped = await client.get("/api/v1/targets", {"state": "dropped"})
        assert (dropped["activeTargets"], len(dropped["droppedTargets"])) == ([], 2)
        assert await client.get("/api/v1/targets/metadata") == []


async def test_federation(analyzer: Analyzer, client: Client) -> None:
    now = write(analyzer, {"a": 21.5, "b": 1e21, "gone": 3.0})
    window = analyzer.pipeline.window
    gone = window.find(Labels({NAME: "temperature", "room": "gone", "instance": "attic"}))
    bare = window.series(window.target("rooms", 5000), Labels({NAME: "bare_total"}), "counter")
    window.append(window.target("rooms", 5000), now, np.array([bare]), np.array([4.0]))
    window.mark_stale(window.target("rooms", 5000), now + 1, np.array([gone]))
    parameters = [("match[]", "temperature"), ("match[]", '{__name__=~"bare.*|temp.*"}')]
    async with (
        aiohttp.ClientSession() as session,
        session.get(client.base + "/federate", params=parameters) as response,
    ):
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert await response.text() == (
            "# TYPE bare_total counter\n"
            f'bare_total{{cluster="c1",instance="",room="none"}} 4 {now}\n'
            "# TYPE temperature gauge\n"
            f'temperature{{instance="attic",room="a",cluster="c1"}} 21.5 {now}\n'
            f'temperature{{instance="attic",room="b",cluster="c1"}} 1e+21 {now}\n'
        )
    async with (
        aiohttp.ClientSession() as session,
        session.get(client.base + "/federate", params={"match[]": "up{"}) as response,
    ):
        assert response.status == 400


async def test_long_answers_are_compressed_for_who_takes_it(analyzer: Analyzer, client: Client) -> None:
    write(analyzer, {f"room-{number}": 1.0 for number in range(2000)})
    bodies = []
    for accepted in ("identity", "gzip"):
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.get(
                client.base + "/api/v1/query",
                params={"query": "temperature", "time": analyzer.clock.now() / 1000},
                headers={"Accept-Encoding": accepted},
            ) as response,
        ):
            assert response.headers.get("Content-Encoding", "identity") == accepted
            bodies.append(await response.read())
    plain, packed = json.loads(bodies[0]), json.loads(gzip.decompress(bodies[1]))
    assert len(packed["data"]["result"]) == len(plain["data"]["result"]) == 2000
    assert len(bodies[1]) < len(bodies[0]) / 5


async def test_format_query_lays_a_query_out(client: Client) -> None:
    asked = {"query": "sum(rate(foo[5m]))by(job)"}
    assert await client.get("/api/v1/format_query", asked) == "sum by (job) (rate(foo[5m]))"


async def test_times_at_the_ends_of_time_are_no_defect(analyzer: Analyzer, client: Client) -> None:
    write(analyzer, {"a": 1})
    for moment in ("1e300", "-1e300", "9223372036854775807", "292277025-08-18T07:12:54.999999999Z"):
        assert (await client.get("/api/v1/query", {"query": "temperature", "time": moment}))["result"] == []
    asked = {"query": "temperature", "start": "-1e300", "end": "1e300", "step": "1e300"}
    await client.get("/api/v1/query_range", asked)
    assert analyzer.pipeline.window.retention == 15 * MINUTE
