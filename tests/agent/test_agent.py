"""The whole agent on loopback: what it exports, what it pushes, how it starts and stops.

Its beats are far apart here; the tests call `tick` themselves.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.clock import ClockWatch
from agent.event import Event
from agent.gpu.protocol import Identity
from agent.host import Host
from agent.main import METRICS, OWN_METRICS, Agent, run
from agent.outlet import MOST_A_SECOND
from agent.settings import AgentSettings
from model.labels import Labels
from wire.event import unpack_event
from wire.frames import Frame, Kind, Schema, decode_stream, unpack_schema, unpack_values
from wire.text import TextDecoder

IDENTITY: Identity = {
    "uuid": "GPU-3",
    "index": 3,
    "pci_bus_id": "00000000:B3:00.0",
    "minor": 3,
    "name": "NVIDIA H200",
    "serial": "",
    "parent": "",
    "profile": "",
    "gpu_instance": -1,
    "compute_instance": -1,
}
PAGE = '# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running{engine="0"} 4\n'


class Sink:
    """An analyzer that only remembers, and the engine beside it."""

    def __init__(self) -> None:
        self.status = 200
        self.token = "t0ken"
        self.schemas: dict[bytes, Schema] = {}
        self.frames: list[Frame] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if self.status != 200:
            return web.Response(status=self.status)
        for frame in decode_stream(await request.read()):
            if frame.kind is Kind.SCHEMA:
                self.schemas[frame.schema_hash] = unpack_schema(frame.payload)
            elif frame.kind is not Kind.EVENT and frame.schema_hash not in self.schemas:
                return web.json_response({"need_schema": True}, status=409)
            else:
                self.frames.append(frame)
        return web.json_response({"accepted": len(self.frames)})

    async def metrics(self, _: web.Request) -> web.Response:
        return web.Response(text=PAGE)

    def of(self, kind: Kind) -> list[Frame]:
        return [frame for frame in self.frames if frame.kind is kind]

    def values(self, frame: Frame) -> dict[Labels, float | None]:
        schema = self.schemas[frame.schema_hash]
        values = unpack_values(frame.payload, len(schema.series))
        return dict(zip(schema.series, values, strict=True))


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink()
    app = web.Application()
    app.add_routes([web.post("/api/v1/frames", sink.take), web.get("/metrics", sink.metrics)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sink.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield sink
    await runner.cleanup()


def _settings(host: Host, sink: Sink, folder: Path, **more: object) -> AgentSettings:
    return AgentSettings.model_validate(
        {
            "listen": "127.0.0.1:0",
            "node": "gpu-7",
            "interval": "5m",
            "procfs": host.procfs,
            "sysfs": host.sysfs,
            "collectors": {"disable": ["filesystem"]},
            "engines": [{"job": "vllm", "url": f"{sink.url}/metrics"}],
            "pods": {"enabled": False},
            "gpu": {"enabled": False},
            "push": {"url": sink.url, "token": sink.token, "spool": {"directory": str(folder)}},
            **more,
        }
    )


async def _tick(agent: Agent, at: int) -> None:
    for beat in agent.beats.values():
        await agent.tick(beat, at)
    for pusher in agent.pushers:
        await pusher.settle()


async def _get(agent: Agent, path: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{agent.server.address}{path}") as answer,
    ):
        return answer.status, await answer.text()


def _families(page: str) -> Iterator[str]:
    for line in page.splitlines():
        if line.startswith("# TYPE "):
            yield line.split()[2]


async def test_one_frame_holds_the_host_and_its_engines(host: Host, sink: Sink, tmp_path: Path) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool")) as agent:
        await _tick(agent, 1_700_000_000_000)
        await _tick(agent, 1_700_000_300_000)
    first, second = sink.of(Kind.VALUES)
    assert (first.time, first.interval) == (1_700_000_000_000, 300_000)
    assert second.sequence == first.sequence + 1
    assert first.boot_id == second.boot_id == agent.boot_id
    values = sink.values(first)
    node = {"node": "gpu-7", "instance": "gpu-7", "job": "fleetowl-agent"}
    assert values[Labels({"__name__": "node_load1", **node})] == 0.5
    engine = {"node": "gpu-7", "instance": sink.url[7:], "job": "vllm"}
    assert values[Labels({"__name__": "vllm:num_requests_running", "engine": "0", **engine})] == 4.0
    assert values[Labels({"__name__": "up", **engine})] == 1.0
    schema = sink.schemas[first.schema_hash]
    assert schema.node == "gpu-7"
    assert schema.types["node_cpu_seconds_total"] == "counter"
    assert schema.types["fleetowl_collector_success"] == "gauge"


async def test_a_clean_stop_says_goodbye(host: Host, sink: Sink, tmp_path: Path) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool")) as agent:
        await _tick(agent, 1000)
    assert sink.frames[-1].kind is Kind.BYE
    assert sink.frames[-1].schema_hash in sink.schemas, "the analyzer finds the node by the schema"


async def test_an_outage_over_a_restart_of_the_agent_loses_nothing(
    host: Host, sink: Sink, tmp_path: Path
) -> None:
    settings = _settings(host, sink, tmp_path / "spool", push={
        "url": sink.url, "token": sink.token, "min_backoff": "1ms", "max_backoff": "1ms",
        "spool": {"directory": str(tmp_path / "spool")},
    })  # fmt: skip
    sink.status = 503
    async with Agent(settings) as agent:
        for at in range(1000, 6000, 1000):
            await _tick(agent, at)
    sink.status = 200
    async with Agent(settings) as agent:
        agent.pushers[0]._allowed_at -= 10  # as if started ten seconds ago
        await _tick(agent, 6000)
    assert {frame.time for frame in sink.of(Kind.VALUES)} == set(range(1000, 7000, 1000))
    assert len({frame.boot_id for frame in sink.of(Kind.VALUES)}) == 2
    for frame in sink.of(Kind.VALUES):
        assert len(sink.values(frame)) > 50, "each can be read with a schema that was sent"


async def test_a_series_that_ends_is_absent(
    host: Host, sink: Sink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool")) as agent:
        await _tick(agent, 1000)
        (Path(host.procfs) / "loadavg").unlink()
        await _tick(agent, 2000)
    first, second = (sink.values(frame) for frame in sink.of(Kind.VALUES))
    load = next(labels for labels in first if labels.name == "node_load1")
    assert first[load] == 0.5
    assert second[load] is None


async def test_an_engine_with_an_interval_of_its_own_has_frames_of_its_own(
    host: Host, sink: Sink, tmp_path: Path
) -> None:
    engines = [{"job": "vllm", "url": f"{sink.url}/metrics", "interval": "2m"}]
    async with Agent(_settings(host, sink, tmp_path / "spool", engines=engines)) as agent:
        await _tick(agent, 1000)
    assert {frame.interval for frame in sink.of(Kind.VALUES)} == {300_000, 120_000}


async def test_who_has_the_gpus_has_frames_of_its_own_interval(
    host: Host, sink: Sink, tmp_path: Path
) -> None:
    pods = {"interval": "2m", "socket": str(tmp_path / "kubelet.sock")}
    async with Agent(_settings(host, sink, tmp_path / "spool", pods=pods)) as agent:
        await _tick(agent, 1000)
        await agent.pods.attribution.refresh() if agent.pods else None
        await _tick(agent, 2000)
    (frame,) = [frame for frame in sink.of(Kind.VALUES) if (frame.time, frame.interval) == (2000, 120_000)]
    states = [labels for labels, value in sink.values(frame).items() if value and labels.value("state")]
    assert [labels.value("state") for labels in states] == ["no_kubelet"]


async def test_an_xid_in_the_kernel_s_log_is_pushed_within_a_second(
    host: Host, sink: Sink, tmp_path: Path
) -> None:
    path = tmp_path / "kern.log"
    path.write_text("")
    settings = _settings(host, sink, tmp_path / "spool", kernel_log={"path": str(path)})
    async with Agent(settings) as agent:
        agent.devices.update([IDENTITY], "580.95.05")
        await _tick(agent, int(time.time() * 1000))
        began = time.monotonic()
        with path.open("a") as file:
            file.write("Nov 26 13:00:00 gpu-7 kernel: NVRM: Xid (PCI:0000:b3:00): 79, pid=7, name=x, Ch 1\n")
        for _ in range(200):
            if sink.of(Kind.EVENT):
                break
            await asyncio.sleep(0.01)
        assert time.monotonic() - began < 1
        (frame,) = sink.of(Kind.EVENT)
        event = unpack_event(frame.payload)
        assert (event.type, event.value) == ("xid", 1.0)
        assert event.labels == {"node": "gpu-7", "gpu": "3", "uuid": "GPU-3", "xid": "79"}
        assert "fallen off the bus" in event.text
        # The next frame says the same of the same series.
        now = int(time.time() * 1000)
        await _tick(agent, now)
        pushed = [sink.values(each) for each in sink.of(Kind.VALUES) if each.time == now]
        counted = [values[one.labels] for values in pushed for one in event.ahead if one.labels in values]
        assert counted[0] == 1.0
        _, page = await _get(agent, "/metrics")
        assert 'fleetowl_xid_total{gpu="3",node="gpu-7",uuid="GPU-3",xid="79"} 1' in page


async def test_the_exposition_can_be_read(host: Host, sink: Sink, tmp_path: Path) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool")) as agent:
        assert (await _get(agent, "/-/ready"))[0] == 503
        assert (await _get(agent, "/-/healthy"))[0] == 200
        await _tick(agent, _wall())
        assert await _get(agent, "/-/ready") == (200, "collecting\n")
        status, page = await _get(agent, "/metrics")
    assert status == 200
    decoder = TextDecoder()
    found = decoder.decode(page.encode())
    by_name = {
        decoder.labels[local].name: value for local, value in zip(found.ids, found.values, strict=True)
    }
    assert by_name["node_memory_MemTotal_bytes"] == 16000 * 1024
    assert by_name["vllm:num_requests_running"] == 4.0
    assert "\nnode_load1 0.5\n" in page, "as node_exporter spells it, without the labels of the push"
    families = list(_families(page))
    assert len(families) == len(set(families)), "each family stands in one piece"
    for metric in (*METRICS, *OWN_METRICS):
        if metric.name in families:
            assert f"# HELP {metric.name} " in page


async def test_engines_can_be_left_out_of_the_exposition(host: Host, sink: Sink, tmp_path: Path) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool", export_engines=False)) as agent:
        await _tick(agent, _wall())
        _, page = await _get(agent, "/metrics")
    assert "vllm:" not in page
    assert "node_load1" in page


async def test_an_old_reading_is_not_shown_as_if_it_were_new(host: Host, sink: Sink, tmp_path: Path) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool")) as agent:
        await _tick(agent, _wall() - 16 * 60_000)
        _, page = await _get(agent, "/metrics")
        assert "node_load1" not in page
        assert (await _get(agent, "/-/ready"))[0] == 200, "three beats old is stale, five are not ready"


async def test_own_metrics_are_declared(host: Host, sink: Sink, tmp_path: Path) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool")) as agent:
        await _tick(agent, 1000)
        await _tick(agent, 2000)
        declared = {metric.name: metric for metric in METRICS}
        for sample in agent._own_samples():
            assert set(sample.labels) <= set(declared[sample.name].labels), sample


async def test_each_beat_looks_at_the_clock(host: Host, sink: Sink, tmp_path: Path) -> None:
    settings = _settings(host, sink, tmp_path / "spool", interval="100ms", engines=[])
    offsets = itertools.chain([0.0] * 6, itertools.repeat(-90.0))  # three readings a look
    async with Agent(settings) as agent:
        agent._clock = ClockWatch(lambda: time.monotonic() + next(offsets), time.monotonic)
        for _ in range(200):
            await asyncio.sleep(0.01)
            if agent._clock.steps:
                break
        own = {sample.name: sample.value for sample in agent._own_samples()}
    assert own["fleetowl_agent_clock_steps_total"] == 1
    assert own["fleetowl_agent_clock_step_seconds"] == pytest.approx(-90.0, abs=0.2)


async def test_run_ends_when_told(host: Host, sink: Sink, tmp_path: Path) -> None:
    stop = asyncio.Event()
    stop.set()
    await run(_settings(host, sink, tmp_path / "spool"), stop)


async def test_a_taken_address_is_an_error(host: Host, sink: Sink, tmp_path: Path) -> None:
    settings = _settings(host, sink, tmp_path / "spool", listen=sink.url[7:])
    with pytest.raises(OSError, match="address already in use"):
        await run(settings, asyncio.Event())


def _wall() -> int:
    return int(time.time() * 1000)


async def test_an_event_that_may_not_leave_is_in_the_log(
    host: Host, sink: Sink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with Agent(_settings(host, sink, tmp_path / "spool")) as agent:
        for gpu in range(20):
            agent.emit(Event("xid", {"gpu": str(gpu)}, 63.0, 1000, f"XID 63 on GPU {gpu}"))
        await agent.pushers[0].settle()
    assert len(sink.of(Kind.EVENT)) == MOST_A_SECOND
    assert [text for text in caplog.messages if "XID" in text] == [
        f"XID 63 on GPU {gpu}" for gpu in range(20)
    ]


async def test_what_cannot_be_closed_keeps_nothing_else_open(
    host: Host, sink: Sink, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("does not close")

    agent = Agent(_settings(host, sink, tmp_path / "spool"))
    async with agent:
        await _tick(agent, 1000)
        session = agent._session()
        agent.finder.close = broken  # type: ignore[method-assign]
        agent.sources[0].close = broken  # type: ignore[method-assign]
        agent.server.close, server = broken, agent.server.close  # type: ignore[method-assign]
    assert sink.frames[-1].kind is Kind.BYE
    assert session.closed
    assert len([each for each in caplog.records if each.exc_info]) == 3
    await server()


async def test_an_agent_that_has_stopped_leaves_no_thread(host: Host, sink: Sink, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    async with Agent(_settings(host, sink, tmp_path / "spool", collectors={})) as agent:
        await _tick(agent, 1000)
        ours = {each for each in set(threading.enumerate()) - before if each.name in ("collect", "statvfs")}
        assert {each.name for each in ours} == {"collect", "statvfs"}
    for thread in ours:
        thread.join(5.0)
        assert not thread.is_alive(), thread.name
