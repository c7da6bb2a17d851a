"""The explanations over HTTP and on the command line, of an alert that a Prometheus has sent."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from click.testing import CliRunner

from analyzer.service import Analyzer
from analyzer.simulation import parse_history
from fleetowl.cli import main
from store.errors import StoreUnavailable
from tests.analyzer.reading import Client

SENT = {
    "labels": {"alertname": "DiskFull", "node": "n1", "device": "/dev/sda"},
    "generatorURL": "http://prometheus.example:9090/graph?g0.expr=disk",
}


async def test_an_alert_that_was_sent_is_explained(analyzer: Analyzer, client: Client) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{client.base}/api/v2/alerts", json=[SENT]) as response:
            assert response.status == 200
        found = await _explained(session, f"{client.base}/api/v1/explain/alert/DiskFull")
        assert found["source"] == {"kind": "api", "generator_url": SENT["generatorURL"]}
        assert found["labels"] == SENT["labels"]
        matchers = quote('{device="/dev/sda"}', safe="")
        again = await _explained(session, f"{client.base}/api/v1/explain/alert/{matchers}")
        assert again["fingerprint"] == found["fingerprint"]
        async with session.get(f"{client.base}/api/v1/alerts/history") as response:
            (line,) = parse_history((await response.text()).splitlines()).lines
            assert dict(line.alert.labels) == SENT["labels"]
    incident = await client.get(f"/api/v1/explain/incident/{found['incident']}")
    assert "DiskFull" in incident["story"]
    asked = ["--url", client.base]
    shown = await asyncio.to_thread(
        CliRunner().invoke, main, ["alerts", "explain", '{device="/dev/sda"}', *asked]
    )
    assert shown.stdout.splitlines()[0].startswith("DiskFull ")
    assert "posted by API: http://prometheus.example:9090" in shown.stdout
    shown = await asyncio.to_thread(
        CliRunner().invoke, main, ["incidents", "explain", found["incident"], *asked, "-o", "json"]
    )
    assert json.loads(shown.stdout)["id"] == found["incident"]


async def test_what_nobody_knows_is_404(client: Client) -> None:
    assert (await client.error("/api/v1/explain/alert/Nothing"))[0] == 404
    assert (await client.error("/api/v1/explain/notification/x"))[0] == 404
    assert (await client.error("/api/v1/explain/incident/INC-1"))[0] == 404
    wrong = quote('a=~"("', safe="")
    assert (await client.error(f"/api/v1/explain/alert/{wrong}"))[0] == 400


async def _explained(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The first alert, once the tick has taken it."""
    async with asyncio.timeout(10):
        while True:
            async with session.get(url) as response:
                if response.status == 200:
                    first: dict[str, Any] = (await response.json())["data"]["alerts"][0]
                    if first["incident"]:
                        return first
            await asyncio.sleep(0.02)


async def test_a_store_that_does_not_answer_is_503(
    analyzer: Analyzer, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed() -> None:
        raise StoreUnavailable("the disk is gone")

    monkeypatch.setattr(analyzer.pipeline.database, "reading", closed)
    status, _, error = await client.error("/api/v1/explain/alert/Any")
    assert (status, error) == (503, "the disk is gone")


async def test_incidents_are_listed_up_to_a_limit_that_says_how_many_there_are(
    analyzer: Analyzer, client: Client
) -> None:
    alerts = [{"labels": {"alertname": "DiskFull", "node": f"n{number}"}} for number in range(3)]
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{client.base}/api/v2/alerts", json=alerts) as response:
            assert response.status == 200
        await _explained(session, f"{client.base}/api/v1/explain/alert/DiskFull")
    whole = await client.get("/api/v1/incidents")
    assert whole["total"] == len(whole["incidents"]) > 1
    some = await client.get("/api/v1/incidents?limit=1")
    assert (some["total"], some["incidents"]) == (whole["total"], whole["incidents"][:1])
