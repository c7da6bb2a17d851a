"""The real promtool asks a running analyzer, and says what the API says."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from analyzer.service import Analyzer
from tests.analyzer.reading import Client, fill

pytestmark = pytest.mark.peer

Run = Callable[..., Awaitable[Analyzer]]
Promtool = Callable[..., Awaitable[Any]]


@pytest.fixture
async def asked(run_analyzer: Run, shared_data: Path) -> AsyncIterator[tuple[Client, int]]:
    """A client, and the moment (s) of a scrape."""
    analyzer = await run_analyzer(detectors={"enabled": False})
    now = analyzer.clock.now() // 1000 * 1000
    fill(analyzer, {"node": shared_data / "captures" / "node_exporter-1.5-debian12.prom"}, now)
    async with aiohttp.ClientSession() as session:
        yield Client(session, f"http://{analyzer.address}"), now // 1000


@pytest.fixture
def promtool(peer_binary: Callable[[str], str]) -> Promtool:
    async def ask(kind: str, *arguments: str) -> Any:
        process = await asyncio.create_subprocess_exec(
            peer_binary("promtool"), "query", "--format=json", kind, *arguments, stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return numbers(json.loads(out))

    return ask


def numbers(answer: Any) -> Any:
    """Values as numbers: promtool reads them and spells them anew."""
    for row in answer:
        if isinstance(row, dict) and ("value" in row or "values" in row):
            points = row.get("values", [row.get("value")])
            row["points"] = [(at, float(value)) for at, value in points]
            row.pop("values", row.pop("value", None))
    return answer


QUERIES = [
    "node_load1",
    "sum by (mode) (rate(node_cpu_seconds_total[1m]))",
    "node_filesystem_avail_bytes / node_filesystem_size_bytes",
    "topk(3, node_disk_read_bytes_total)",
    "node_memory_MemTotal_bytes * 1e12",
]


@pytest.mark.parametrize("query", QUERIES)
async def test_instant_and_range_queries(asked: tuple[Client, int], promtool: Promtool, query: str) -> None:
    client, now = asked
    found = await promtool("instant", f"--time={now}", client.base, query)
    answered = await client.get("/api/v1/query", {"query": query, "time": now})
    assert found == numbers(answered["result"]) != []
    span = {"start": now - 60, "end": now, "step": 15}
    flags = [f"--start={now - 60}", f"--end={now}", "--step=15s"]
    found = await promtool("range", *flags, client.base, query)
    answered = await client.get("/api/v1/query_range", {"query": query, **span})
    assert found == numbers(answered["result"]) != []


async def test_series_and_labels(asked: tuple[Client, int], promtool: Promtool) -> None:
    client, _ = asked
    found = await promtool("series", "--match=node_load1", '--match={mode="idle"}', client.base)
    answered = await client.get("/api/v1/series", {"match[]": ["node_load1", '{mode="idle"}']})
    assert found == answered != []
    found = await promtool("labels", client.base, "mode")
    assert found == await client.get("/api/v1/label/mode/values") != []
