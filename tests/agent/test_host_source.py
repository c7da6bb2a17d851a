"""A collector that hangs costs its own samples, and joins again when it returns."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator

import pytest

from agent import registry
from agent.host import Host, labelled
from agent.host_source import HostSource
from agent.reading import Reading
from agent.registry import Collector
from agent.settings import AgentSettings
from model.metric import Sample


class Stuck(Collector):
    """Returns when the test lets it."""

    name = "stuck"
    free = threading.Event()

    def collect(self) -> Iterable[Sample]:
        self.free.wait()
        return [Sample("stuck_value", labelled(), 1.0)]


@pytest.fixture
def stuck() -> Iterator[type[Stuck]]:
    registry.discover()
    registry._registered["stuck"] = Stuck
    Stuck.free.clear()
    yield Stuck
    Stuck.free.set()
    del registry._registered["stuck"]


def _flat(reading: Reading) -> dict[tuple[str, str], float]:
    return {
        (labels.name, labels.get("collector", "")): value
        for labels, value in zip(reading.series, reading.values, strict=True)
    }


async def test_a_hung_collector_is_left_behind(host: Host, stuck: type[Stuck]) -> None:
    settings = AgentSettings.model_validate({"node": "gpu-7", "collectors": {"disable": ["filesystem"]}})
    source = HostSource(settings, lambda: [Sample("own", labelled(), 7.0)], (), host)
    source._deadline = 0.05
    first = _flat(await source.read(0))
    assert first["fleetowl_collector_success", "stuck"] == 0.0
    assert first["own", ""] == 7.0, "a hang is reported, not silent"
    for at in (1000, 2000):
        values = _flat(await source.read(at))
        assert values["node_load1", ""] == 0.5
        assert values["fleetowl_collector_success", "stuck"] == 0.0
        assert values["fleetowl_collector_success", "loadavg"] == 1.0
    stuck.free.set()
    while source._hung["stuck"].busy:
        pass
    values = _flat(await source.read(3000))
    assert values["stuck_value", ""] == 1.0
    assert values["fleetowl_collector_success", "stuck"] == 1.0


async def test_series_have_the_targets_labels(host: Host) -> None:
    settings = AgentSettings.model_validate({"node": "gpu-7", "job": "node-exporter"})
    source = HostSource(settings, list, (), host)
    first, second = await source.read(0), await source.read(1000)
    load = next(labels for labels in first.series if labels.name == "node_load1")
    assert dict(load) == {
        "__name__": "node_load1",
        "job": "node-exporter",
        "instance": "gpu-7",
        "node": "gpu-7",
    }
    assert first.types["node_load1"] == "gauge"
    assert first.types["node_memory_MemTotal_bytes"] == "gauge"
    assert second.series is first.series, "unchanged series keep their list"


async def test_a_hung_round_lets_all_its_threads_end_when_it_returns(host: Host, stuck: type[Stuck]) -> None:
    settings = AgentSettings.model_validate({"node": "gpu-7"})
    before = set(threading.enumerate())
    source = HostSource(settings, list, (), host)
    source._deadline = 0.2
    await source.read(0)
    assert "stuck" in source._hung
    await source.read(1000)
    await source.close()
    stuck.free.set()
    for thread in set(threading.enumerate()) - before:
        if thread.name in ("collect", "statvfs"):
            thread.join(5.0)
            assert not thread.is_alive(), thread.name
