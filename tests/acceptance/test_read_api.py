"""The real Prometheus beside Fleetowl: it scrapes /federate, and its own API has the same shapes."""

from __future__ import annotations

import asyncio
import itertools
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.acceptance.processes import Process, free_port, wait_for

pytestmark = [pytest.mark.acceptance, pytest.mark.peer]

Start = Callable[..., Awaitable[Process]]
Expose = Callable[[Callable[[], str]], Awaitable[tuple[str, web.AppRunner]]]

RULES = """
groups:
  - name: page
    interval: 1s
    rules:
      - alert: PageMoves
        expr: page_value > 0
        keep_firing_for: 1m
        labels: {tier: P3}
        annotations: {summary: "at {{ $value }}"}
      - alert: PageStands
        expr: page_value < 0
      - record: page:value:max
        expr: max(page_value)
        labels: {kind: record}
      - record: page:broken
        expr: page_lanes / on () page_lanes
"""

CALLS: list[tuple[str, dict[str, str]]] = [
    ("query", {"query": "page_value"}),
    ("query", {"query": "1 + 1"}),
    ("query", {"query": '"text"'}),
    ("query", {"query": "page_value{"}),
    ("query", {"query": "page_lanes / on () page_lanes"}),
    ("query_range", {"query": "page_value", "step": "1"}),
    ("query_range", {"query": "1", "step": "0"}),
    ("query_exemplars", {"query": "page_value"}),
    ("format_query", {"query": "sum(page_value)by(job)"}),
    ("series", {"match[]": "page_value"}),
    ("series", {}),
    ("labels", {"match[]": "page_value"}),
    ("label/job/values", {"match[]": "page_value"}),
    ("metadata", {"metric": "page_value"}),
    ("metadata", {"metric": "nothing"}),
    ("targets/metadata", {"metric": "page_value"}),
    ("targets", {"state": "active"}),
    ("targets", {"state": "dropped"}),
    ("rules", {}),
    ("rules", {"type": "alert"}),
    ("rules", {"type": "wrong"}),
    ("alerts", {}),
    ("status/buildinfo", {}),
]


def shape(value: Any) -> Any:
    """Keys and kinds, without what it says."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(one) for one in value]
    return (
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
    )


def lacks(ours: Any, theirs: Any, place: str = "") -> list[str]:
    """Where our shape lacks what theirs has; keys of our own are free."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        missing = [f"{place}.{key} is missing" for key in theirs.keys() - ours.keys()]
        both = theirs.keys() & ours.keys()
        return missing + [one for key in both for one in lacks(ours[key], theirs[key], f"{place}.{key}")]
    if isinstance(theirs, list) and isinstance(ours, list):
        if bool(theirs) != bool(ours):
            return [f"{place} has {len(ours)} elements, not {len(theirs)}"]
        pairs = zip(ours, theirs, strict=False)
        return [one for number, (a, b) in enumerate(pairs) for one in lacks(a, b, f"{place}[{number}]")]
    return [] if ours == theirs else [f"{place} is {ours}, not {theirs}"]


async def ask(url: str, path: str, parameters: dict[str, str]) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{url}/api/v1/{path}", params=parameters) as response,
    ):
        return response.status, await response.json()


def scrape(address: str) -> list[dict[str, Any]]:
    drop = {"source_labels": ["__address__"], "regex": "127.0.0.1:1", "action": "drop"}
    return [
        {
            "job_name": "page",
            "scrape_interval": "1s",
            "static_configs": [{"targets": [address, "127.0.0.1:1"]}],
            "relabel_configs": [drop],
        }
    ]


def beside(folder: Path, address: str, ours: str, binary: str) -> tuple[subprocess.Popen[bytes], str]:
    """A Prometheus with the same page and rules that also federates from ours, and its URL."""
    port = free_port()
    (folder / "prometheus.yml").write_text(
        f"""
rule_files: [{folder / "page.rules.yml"}]
scrape_configs:
  - job_name: page
    scrape_interval: 1s
    static_configs: [{{targets: ["{address}", "127.0.0.1:1"]}}]
    relabel_configs: [{{source_labels: [__address__], regex: "127.0.0.1:1", action: drop}}]
  - job_name: federate
    scrape_interval: 1s
    metrics_path: /federate
    honor_labels: true
    params: {{"match[]": ['{{job="page"}}', "page:value:max"]}}
    static_configs: [{{targets: ["{ours.removeprefix("http://")}"]}}]
    metric_relabel_configs: [{{source_labels: [__name__], target_label: __name__, replacement: "fed:$1"}}]
"""
    )
    with (folder / "prometheus.log").open("wb") as log:
        prometheus = subprocess.Popen(
            [
                binary,
                f"--config.file={folder}/prometheus.yml",
                f"--storage.tsdb.path={folder}/tsdb",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stderr=log,
        )
    return prometheus, f"http://127.0.0.1:{port}"


async def test_prometheus_and_fleetowl_answer_alike(
    tmp_path: Path, start: Start, expose: Expose, peer_binary: Callable[[str], str]
) -> None:
    counted = itertools.count(1)

    def page() -> str:
        return (
            "# HELP page_value A value that moves.\n# TYPE page_value gauge\n"
            f"page_value {next(counted) / 8}\n"
            "# TYPE page_lanes gauge\n"
            'page_lanes{lane="a"} 1\npage_lanes{lane="b"} 2\n'
        )

    address, _ = await expose(page)
    rules = tmp_path / "page.rules.yml"
    rules.write_text(RULES)
    process = await start(
        "analyzer",
        {
            "scrape_configs": scrape(address),
            "rules": {"shipped": False, "files": [str(rules)]},
            "analyzer": {"external_labels": {"cluster": "c1"}},
        },
    )
    prometheus, url = beside(tmp_path, address, process.url, peer_binary("prometheus"))
    try:

        async def firing() -> bool:
            try:
                answers = [await ask(one, "alerts", {}) for one in (url, process.url)]
            except aiohttp.ClientError:
                return False
            return all(status == 200 and body["data"]["alerts"] for status, body in answers)

        await wait_for(firing, 40, "both have alerts")
        await asyncio.sleep(5)
        await same_shapes(process.url, url)
        await same_values(process.url, url)
    finally:
        prometheus.terminate()
        prometheus.wait(20)


async def same_shapes(ours: str, theirs: str) -> None:
    moment = (await ask(theirs, "query", {"query": "time()"}))[1]["data"]["result"][0]
    span = {"start": f"{moment - 3}", "end": f"{moment - 1}"}
    wrong: list[str] = []
    for path, parameters in CALLS:
        parameters = {**parameters, **(span if path != "query" else {"time": f"{moment - 1}"})}
        status, body = await ask(theirs, path, parameters)
        our_status, our_body = await ask(ours, path, parameters)
        if path == "targets":
            keep = {"federate"}
            for one in (body, our_body):
                one["data"]["activeTargets"] = [
                    target for target in one["data"]["activeTargets"] if target["scrapePool"] not in keep
                ]
        where = f"{path} {parameters}"
        if our_status != status:
            wrong.append(f"{where}: status {our_status}, not {status}: {our_body}")
        wrong += [f"{where}: {one}" for one in lacks(shape(our_body), shape(body))]
        if status != 200 and our_body.get("errorType") != body["errorType"]:
            wrong.append(f"{where}: errorType {our_body.get('errorType')}, not {body['errorType']}")
    assert wrong == []


async def same_values(ours: str, theirs: str) -> None:
    """What Prometheus has from /federate is what Fleetowl has at the same moment."""

    async def answer(url: str, query: str, **parameters: str) -> list[dict[str, Any]]:
        _, body = await ask(url, "query", {"query": query, **parameters})
        rows: list[dict[str, Any]] = body["data"]["result"]
        return rows

    names = set()
    for row in await answer(theirs, '{__name__=~"fed:.+", cluster="c1"}'):
        labels = row["metric"]
        copied = ",".join(f'{key}="{value}"' for key, value in labels.items())
        (stamp,) = await answer(theirs, f"timestamp({{{copied}}})")
        at = stamp["value"][1]
        (copy,) = await answer(theirs, f"{{{copied}}}", time=at)
        names.add(labels["__name__"])
        labels["__name__"] = labels["__name__"].removeprefix("fed:")
        del labels["cluster"]
        if labels["job"] == "federate":
            del labels["job"]  # a series without job gets that of the scrape, as with any Prometheus
        own = ",".join(f'{key}="{value}"' for key, value in labels.items())
        assert [one["value"] for one in await answer(ours, f"{{{own}}}", time=at)] == [copy["value"]], row
    assert {"fed:page_value", "fed:page:value:max", "fed:page_lanes", "fed:up"} <= names
