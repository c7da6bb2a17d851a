"""An agent and an analyzer: what happens between two beats is an alert before the second of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path

import aiohttp
import pytest

from agent.event import Ahead, Event
from agent.main import Agent
from agent.reading import Reading
from agent.settings import AgentSettings
from analyzer.service import Analyzer
from analyzer.snapshots import SNAPSHOT
from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from model.metric import Metric
from tests.analyzer.reading import Client

Run = Callable[..., Awaitable[Analyzer]]
UUID = "GPU-3f2a"
WHERE = {"node": "gpu-7", "gpu": "3"}
GPU_UP = Labels({NAME: "fleetowl_gpu_up", "UUID": UUID, **WHERE})
FALLEN = Labels({NAME: "fleetowl_xid_total", "uuid": UUID, "xid": "79", **WHERE})


class Gpus:
    """A GPU that is well, and its count of XID 79."""

    interval = 300_000
    exported = True

    def __init__(self) -> None:
        self.xids = 0.0

    def metrics(self) -> Iterable[Metric]:
        return ()

    async def read(self, at: int) -> Reading:
        types = {"fleetowl_gpu_up": "gauge", "fleetowl_xid_total": "counter"}
        return Reading(at, [GPU_UP, FALLEN], [1.0, self.xids], types)

    async def close(self) -> None:
        pass

    def fall(self) -> Event:
        self.xids += 1
        now = int(time.time() * 1000)
        labels = {**WHERE, "uuid": UUID, "xid": "79"}
        return Event("xid", labels, 79.0, now, "XID 79 on GPU 3", (Ahead(FALLEN, self.xids, now),))


def settings_of(analyzer: Analyzer, folder: Path) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "node": "gpu-7",
            "interval": "5m",
            "collectors": {"disable": ["filesystem"]},
            "push": {"url": f"http://{analyzer.address}", "spool": {"directory": str(folder)}},
        }
    )


@pytest.fixture
async def monitor(run_analyzer: Run) -> AsyncIterator[tuple[Analyzer, Client]]:
    """An analyzer with the shipped rules, at its usual tick."""
    analyzer = await run_analyzer(rules={"shipped": True})
    async with aiohttp.ClientSession() as session:
        yield analyzer, Client(session, f"http://{analyzer.address}")


async def frame(agent: Agent) -> None:
    """One beat, taken in by the analyzer."""
    for beat in agent.beats.values():
        await agent.tick(beat, int(time.time() * 1000))
    for pusher in agent.pushers:
        await pusher.settle()


async def alerts(client: Client) -> list[dict[str, object]]:
    found = (await client.get("/api/v1/alerts"))["alerts"]
    return [alert for alert in found if alert["labels"]["alertname"] == "GpuLost"]


async def test_a_lost_gpu_is_an_alert_before_the_next_frame(
    monitor: tuple[Analyzer, Client], tmp_path: Path
) -> None:
    analyzer, client = monitor
    async with Agent(settings_of(analyzer, tmp_path / "spool")) as agent:
        gpus = Gpus()
        agent.add(gpus)
        await frame(agent)
        began = time.monotonic()
        agent.emit(gpus.fall())
        for _ in range(500):
            if await alerts(client):
                break
            await asyncio.sleep(0.01)
        took = time.monotonic() - began
        (alert,) = await alerts(client)
        assert alert["state"] == "firing"
        events = (await client.get("/api/v1/events"))["events"]
    assert took < 2, "the group is evaluated each second"
    assert [(one["node"], one["type"], one["labels"]["xid"]) for one in events] == [("gpu-7", "xid", "79")]
    assert 0 <= events[0]["received_at"] - events[0]["at"] < 1000


async def test_events_can_be_asked_for_by_node_and_type(
    monitor: tuple[Analyzer, Client], tmp_path: Path
) -> None:
    analyzer, client = monitor
    async with Agent(settings_of(analyzer, tmp_path / "spool")) as agent:
        gpus = Gpus()
        for _ in range(3):
            event = gpus.fall()
            agent.emit(Event(event.type, {**event.labels, "turn": str(gpus.xids)}, 79.0, event.at, "again"))
        await agent.pushers[0].settle()
    wanted: list[tuple[dict[str, str], int]] = [
        ({}, 3), ({"limit": "2"}, 2), ({"node": "gpu-7", "type": "xid"}, 3), ({"type": "sxid"}, 0)
    ]  # fmt: skip
    for asked, count in wanted:
        assert len((await client.get("/api/v1/events", asked))["events"]) == count
    assert await client.error("/api/v1/events", {"limit": "x"})


@pytest.mark.parametrize("killed", [True, False])
async def test_an_analyzer_that_lost_its_window_gets_the_last_minute_again(
    killed: bool, run_analyzer: Run, tmp_path: Path
) -> None:
    """As after kill -9: what agents delivered since the last snapshot is not on its disk.

    After a stop it is, and nothing goes over the wire twice.
    """
    first = await run_analyzer()
    async with Agent(settings_of(first, tmp_path / "spool")) as agent:
        gpus = Gpus()
        agent.add(gpus)
        began = int(time.time() * 1000) - 30_000
        for turn in range(10):
            gpus.xids = float(turn)
            await agent.tick(agent.beats[Gpus.interval], began + turn * 1000)
            await agent.pushers[0].settle()
        await first.stop()
        if killed:
            (tmp_path / "state" / SNAPSHOT).unlink()
        second = await run_analyzer(analyzer={"listen": first.address})
        agent.pushers[0]._retry_at = 0.0
        await agent.tick(agent.beats[Gpus.interval], began + 10_000)
        await agent.pushers[0].settle()
        (selection,) = second.pipeline.window.select([Matcher(NAME, Op.EQUAL, "fleetowl_xid_total")])
        times, values, present = selection.range(0, 2**60)
    assert agent.pushers[0].stats.resent == (10 if killed else 0)
    found = list(zip(times[present].tolist(), values[present].tolist(), strict=True))
    assert found == [(began + turn * 1000, float(min(turn, 9))) for turn in range(11)]
