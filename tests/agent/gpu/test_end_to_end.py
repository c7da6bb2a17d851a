"""The source, its probe in a real process, and a stub driver: what comes of it when something goes wrong."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.event import Event
from agent.gpu.hold import Hold
from agent.gpu.source import GpuSource
from agent.gpu.start import gpu_source
from agent.reading import Reading
from agent.settings import AgentSettings
from simulator.nvml.stub import Stub
from tests.agent.gpu.doubles import by_gpu, family, flat, state_of, told

_PATIENCE = 20.0
UTIL = "DCGM_FI_DEV_GPU_UTIL"


class Node:
    """A node with a stub driver."""

    def __init__(self, stub: Stub, folder: Path, interval: str = "1s", **gpu: Any) -> None:
        self.stub = stub
        self.events: list[Event] = []
        self.hold = Hold()
        settings = {
            "node": "gpu-7",
            "interval": interval,
            "sysfs": folder / "sys",
            "gpu": {"last_seen": folder / "gpus.json", "hung_after": "200ms", "deadline": "150ms", **gpu},
        }
        self.source: GpuSource = gpu_source(
            AgentSettings.model_validate(settings), self.events.append, self.hold
        )

    async def until(self, wanted: Callable[[Reading], object]) -> Reading:
        """Read, some times a second, until a reading is as `wanted`."""
        end = time.monotonic() + _PATIENCE
        while True:
            reading = await self.source.read(int(time.time() * 1000))
            if wanted(reading):
                return reading
            assert time.monotonic() < end, "\n".join(f"{a} {b}" for a, b in flat(reading).items())
            await asyncio.sleep(0.02)

    async def ready(self, gpus: int) -> Reading:
        """All GPUs read."""
        return await self.until(lambda reading: len(by_gpu(reading, UTIL)) == gpus)

    @property
    def pid(self) -> int:
        found = self.source._probe.pid
        assert found is not None
        return found


Make = Callable[..., Awaitable[Node]]


@pytest.fixture
async def make(
    nvml_stub: Callable[..., Stub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Make]:
    nodes: list[Node] = []

    async def build(gpus: int = 2, stub: Stub | None = None, **gpu: Any) -> Node:
        stub = stub or nvml_stub(gpus=gpus, load="busy")
        for name, value in stub.environment().items():
            monkeypatch.setenv(name, value)
        nodes.append(Node(stub, tmp_path, **gpu))
        await nodes[-1].ready(gpus)
        return nodes[-1]

    yield build
    for node in nodes:
        node.stub.release()
        await node.source.close()


async def test_a_busy_node_is_read(make: Make) -> None:
    node = await make(gpus=2)
    reading = await node.until(lambda reading: family(reading, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"))
    assert state_of(reading) == ("ready", "")
    assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0, "1": 1.0}
    assert family(reading, "fleetowl_gpu_driver_devices") == {(): 2.0}
    spelled = flat(reading)  # no series is there twice
    declared = {metric.name: metric for metric in node.source.metrics()}
    names = {labels.name for labels in reading.series}
    assert names <= declared.keys()
    assert len(names) > 40, "most of dcgm-exporter's default set and more"
    assert any(name.startswith("fleetowl_gpu_missing") for name in spelled)
    for labels in reading.exported or ():
        wanted = {"__name__", *declared[labels.name].labels}
        assert set(labels) <= wanted | {"pod", "namespace", "container"}, labels


async def test_one_gpu_hangs_and_the_others_stay_fresh(make: Make) -> None:
    node = await make(gpus=3)
    node.stub.gpus[1].hang("nvmlDeviceGetUtilizationRates")
    began = time.monotonic()
    reading = await node.until(lambda reading: family(reading, "fleetowl_probe_hung"))
    assert time.monotonic() - began < 5, "200 ms are hung here"
    ((labels, _),) = family(reading, "fleetowl_probe_hung").items()
    assert dict(labels)["call"] == "nvmlDeviceGetUtilizationRates"
    assert dict(labels)["uuid"] == node.stub.gpus[1].uuid
    node.stub.gpus[0].set(temperature=77)
    await node.until(lambda reading: by_gpu(reading, "DCGM_FI_DEV_GPU_TEMP").get("0") == 77.0)
    for _ in range(5):
        reading = await node.source.read(int(time.time() * 1000))
        assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0, "2": 1.0}
        assert state_of(reading) == ("ready", "")
    assert node.stub.blocked() == 1, "one call is blocked and no other was made"
    assert told(node.events) == [("probe_hung", "1")]
    node.stub.release()
    await node.until(lambda reading: by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0, "1": 1.0, "2": 1.0})
    assert told(node.events) == [("probe_hung", "1")]


async def test_a_lost_gpu_is_told_at_once_by_its_xid(make: Make) -> None:
    node = await make(gpus=2)
    await asyncio.sleep(0.6)  # the probe waits for events half a second at a time
    node.stub.gpus[1].lose()
    began = time.monotonic()
    node.stub.gpus[1].xid(79)
    while not node.events:
        assert time.monotonic() - began < 1.0
        await asyncio.sleep(0.01)
    assert told(node.events) == [("gpu_lost", "1")]
    assert "NVML 15" in node.events[0].text
    reading = await node.until(lambda reading: by_gpu(reading, "fleetowl_gpu_up"))
    assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0, "1": 0.0}
    assert node.events[0].ahead[0].labels in reading.series


@pytest.mark.parametrize("how", ["lose", "vanish"])
async def test_a_gpu_that_goes_without_a_word_is_missed_between_the_beats(make: Make, how: str) -> None:
    node = await make(gpus=2, interval="5s")
    asked = node.stub.calls("nvmlDeviceGetPowerUsage")
    getattr(node.stub.gpus[1], how)()
    began = time.monotonic()
    while not node.events:
        assert time.monotonic() - began < 1.0
        await asyncio.sleep(0.01)
    assert told(node.events) == [("gpu_lost", "1")]
    assert node.stub.calls("nvmlDeviceGetPowerUsage") == asked, "a look is no sweep"


async def test_a_gpu_that_is_no_longer_listed_is_lost_and_may_be_back(make: Make) -> None:
    node = await make(gpus=3)
    node.stub.gpus[2].vanish()
    reading = await node.until(lambda reading: by_gpu(reading, "fleetowl_gpu_up").get("2") == 0.0)
    assert family(reading, "fleetowl_gpu_driver_devices") == {(): 2.0}
    assert set(by_gpu(reading, UTIL)) == {"0", "1"}
    node.stub.gpus[2].restore()
    await node.ready(3)
    assert told(node.events) == [("gpu_lost", "2"), ("gpu_back", "2")]


@pytest.mark.parametrize("how", ["lose", "vanish"])
async def test_a_gpu_lost_while_the_agent_was_away_is_missed(make: Make, how: str) -> None:
    first = await make(gpus=2)
    await first.source.close()
    getattr(first.stub.gpus[1], how)()
    second = Node(first.stub, first.source._last_seen._path.parent)
    try:
        reading = await second.until(lambda reading: by_gpu(reading, "fleetowl_gpu_up").get("1") == 0.0)
        assert by_gpu(reading, UTIL).keys() == {"0"}
        assert told(second.events) == [("gpu_lost", "1")]
    finally:
        await second.source.close()


async def test_the_driver_is_upgraded_under_way(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.gpu.client._LASTING", 0.0)
    node = await make(gpus=2)
    pid = node.pid
    node.stub.upgrade("580.95.05")
    reading = await node.until(
        lambda reading: (
            {dict(labels)["DCGM_FI_DRIVER_VERSION"] for labels in family(reading, UTIL)} == {"580.95.05"}
        )
    )
    assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0, "1": 1.0}
    assert node.pid != pid
    assert family(reading, "fleetowl_probe_restarts_total") == {(("reason", "mismatch"),): 1.0}
    assert node.events == [], "nothing was lost"


async def test_it_lets_go_of_the_driver_and_takes_it_again(make: Make) -> None:
    node = await make(gpus=2)
    pid = node.pid
    node.hold.release()
    reading = await node.until(lambda reading: state_of(reading)[0] == "released")
    assert not Path(f"/proc/{pid}").exists(), "nobody has the driver open"
    assert family(reading, "fleetowl_gpu_up") == {}
    assert family(reading, UTIL) == {}
    node.hold.resume()
    await node.ready(2)
    assert node.events == []


async def test_signals_for_the_agent_do_not_kill_the_probe(make: Make) -> None:
    node = await make(gpus=2)
    pid = node.pid
    for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT):
        os.kill(pid, number)
    await node.ready(2)
    assert node.pid == pid


async def test_a_probe_that_is_killed_is_replaced(make: Make) -> None:
    node = await make(gpus=2)
    os.kill(node.pid, signal.SIGKILL)
    reading = await node.until(lambda reading: state_of(reading)[0] == "failing")
    assert "SIGKILL" in state_of(reading)[1]
    reading = await node.ready(2)
    assert family(reading, "fleetowl_probe_restarts_total") == {(("reason", "signal"),): 1.0}
    assert node.events == []


async def test_mig_is_switched_under_way(make: Make) -> None:
    node = await make(gpus=2, slow_interval="1s")
    node.stub.gpus[0].mig(["1g.10gb", "1g.10gb"])
    reading = await node.until(lambda reading: _instances(reading) == 2)
    flat(reading)
    assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0, "1": 1.0}
    node.stub.gpus[0].mig([])
    await node.until(lambda reading: not _instances(reading))
    assert node.events == []


def _instances(reading: Reading) -> int:
    return sum("GPU_I_ID" in dict(labels) for labels in family(reading, "DCGM_FI_DEV_FB_USED"))
