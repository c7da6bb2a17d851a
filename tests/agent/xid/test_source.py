"""XIDs as a source of the agent: from the log's file to the event, the frame and the page."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import pytest

from agent.event import Event
from agent.gpu.protocol import Identity, Occurrence
from agent.reading import Reading
from agent.settings import AgentSettings
from agent.xid import source as module
from agent.xid.devices import Device, KnownDevices
from agent.xid.source import METRICS, XidSource
from agent.xid.wall import WallClock
from model.labels import Labels

UUID = "GPU-b850f46d-d5ea-c752-ddf3-c6c4a8c2a2f2"


def identity(index: int = 3, parent: str = "") -> Identity:
    return {
        "uuid": UUID if not parent else "MIG-1",
        "index": index,
        "pci_bus_id": "00000000:B3:00.0",
        "minor": index,
        "name": "NVIDIA H200",
        "serial": "",
        "parent": parent,
        "profile": "",
        "gpu_instance": -1,
        "compute_instance": -1,
    }


def occurrence(code: int) -> Occurrence:
    return {
        "say": "event",
        "kind": "xid",
        "uuid": UUID,
        "code": code,
        "gpu_instance": -1,
        "compute_instance": -1,
    }


@pytest.fixture
def devices() -> KnownDevices:
    known = KnownDevices()
    known.update([identity(), identity(parent=UUID)], "580.95.05")
    return known


def iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def shown(reading: Reading) -> dict[str, float]:
    assert reading.exported is not None
    return {str(labels): value for labels, value in zip(reading.exported, reading.values, strict=True)}


def test_devices_are_found_by_any_spelling_of_their_address(devices: KnownDevices) -> None:
    assert devices.by_pci("0000:b3:00") == Device("3", UUID)
    assert devices.by_pci("0000:b4:00") is None
    assert devices.all() == [Device("3", UUID)]
    devices.update([], "")
    assert devices.driver() == "580.95.05"
    moved = identity(index=1)
    moved["pci_bus_id"] = "00000000:C3:00.0"
    devices.update([moved], "")
    assert devices.all() == [Device("1", UUID)]


async def test_from_the_log_to_the_event_and_the_page(settings: AgentSettings, devices: KnownDevices) -> None:
    events: list[tuple[float, Event]] = []
    path = settings.kernel_log.path
    before = int(time.time()) - 1
    path.write_text(f"{iso(before)} n1 kernel: NVRM: Xid (PCI:0000:b3:00): 48, pid=1, name=x, DBE\n")
    source = XidSource(settings, devices, lambda event: events.append((time.monotonic(), event)))
    source.start()
    began = time.monotonic()
    with path.open("a") as file:
        file.write("Nov 26 13:00:01 n1 kernel: NVRM: Xid (PCI:0000:b3:00): 79, pid=7, name=python3, Ch 1\n")
        file.write(
            "Nov 26 13:00:01 n1 kernel: nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 22003, Fatal, Link 1\n"
        )
    source.from_driver(occurrence(79), 0)
    for _ in range(200):
        if len(events) == 2:
            break
        await asyncio.sleep(0.01)
    assert max(at for at, _ in events) - began < 1
    assert [event.type for _, event in events] == ["xid", "sxid"]
    reading = await source.read(1_000)
    page = shown(reading)
    assert page[f'fleetowl_xid_total{{gpu="3", node="n1", uuid="{UUID}", xid="79"}}'] == 1
    assert page[f'fleetowl_xid_total{{gpu="3", node="n1", uuid="{UUID}", xid="48"}}'] == 0
    assert (
        page[
            f'fleetowl_xid_last_timestamp_seconds{{action="reset_gpu", class="memory", gpu="3", node="n1", '
            f'tier="P1", uuid="{UUID}", xid="48"}}'
        ]
        == before
    )
    assert source.last(UUID) == 79
    assert source.recent(UUID, 0) == {79: 1}
    await source.close()


async def test_a_push_has_the_node_once(settings: AgentSettings, devices: KnownDevices) -> None:
    source = XidSource(settings, devices, lambda _: None)
    reading = await source.read(1_000)
    assert len(reading.series) == len(reading.exported or ())
    for labels in reading.series:
        assert (labels["node"], labels["instance"], labels["job"]) == ("n1", "n1", "fleetowl-agent")
        assert not any(name.startswith("exported_") for name in labels)
    for labels in reading.exported or ():
        assert "job" not in labels
    assert {labels.name for labels in reading.series} <= {metric.name for metric in METRICS}
    await source.close()


async def test_the_samples_ahead_are_of_the_series_that_are_pushed(
    settings: AgentSettings, devices: KnownDevices
) -> None:
    events: list[Event] = []
    source = XidSource(settings, devices, events.append)
    source.from_driver(occurrence(31), 0)
    reading = await source.read(1_000)
    assert {ahead.labels for ahead in events[0].ahead} <= set(reading.series)
    # What was pushed before needs no zero.
    source.from_driver(occurrence(48), 0)
    assert [ahead.value for ahead in events[1].ahead][:1] == [1.0]
    await source.close()


async def test_the_labels_are_those_that_are_declared(settings: AgentSettings, devices: KnownDevices) -> None:
    declared = {metric.name: set(metric.labels) for metric in METRICS}
    source = XidSource(settings, devices, lambda _: None)
    source.from_driver(occurrence(31), 0)
    reading = await source.read(1_000)
    for labels in reading.exported or ():
        assert set(labels) - {"__name__"} <= declared[labels.name]
    assert set(reading.types) == set(declared)
    await source.close()


async def test_without_a_kernel_log_the_driver_s_events_do_not_wait(
    settings: AgentSettings, devices: KnownDevices
) -> None:
    events: list[Event] = []
    source = XidSource(settings, devices, events.append)
    source.start()
    source.from_driver(occurrence(48), 0)
    assert len(events) == 1
    await source.close()


async def test_with_one_they_wait_and_are_told_all_the_same(
    settings: AgentSettings, devices: KnownDevices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.xid.ledger.PATIENCE", 0.02)
    settings.kernel_log.path.write_text("")
    events: list[Event] = []
    source = XidSource(settings, devices, events.append)
    source.start()
    source.from_driver(occurrence(48), 0)
    assert events == []
    await asyncio.sleep(0.1)
    assert len(events) == 1
    await source.close()


async def test_history_of_the_device_has_the_kernel_s_own_time(
    settings: AgentSettings, devices: KnownDevices
) -> None:
    source = XidSource(settings, devices, lambda _: None, clock=lambda: 5_000.0, timer=lambda: 1_000.0)
    line = "NVRM: Xid (PCI:0000:b3:00): 48, DBE"
    source._take(line, 400.0, False)
    source._take("nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 22003, Fatal, Link 1", 500.0, False)
    source._take(line.replace("48", "62"), None, False)  # nobody knows when: no history
    page = shown(await source.read(1_000))
    times = {name: value for name, value in page.items() if "last_timestamp" in name}
    assert sorted(times.values()) == [4_400.0, 4_500.0]
    await source.close()


@pytest.mark.parametrize(("written", "asks"), [(3_900.0, None), (4_000.0, 2.0), (4_900.0, 2.0)])
async def test_what_the_log_holds_from_before_the_boot_is_no_history(
    settings: AgentSettings, devices: KnownDevices, written: float, asks: float | None
) -> None:
    source = XidSource(settings, devices, lambda _: None, clock=lambda: 5_000.0, timer=lambda: 1_000.0)
    source._take(
        f"{iso(written)} n1 kernel: [9.000000] NVRM: Xid (PCI:0000:b3:00): 154, GPU recovery action changed "
        "from 0x0 (None) to 0x2 (Node Reboot Required)",
        None,
        False,
    )
    source._take(
        f"{iso(written)} n1 kernel: nvidia-nvswitch3: SXid (PCI:0000:05:00.0): 22003, Fatal, Link 1",
        None,
        False,
    )
    page = shown(await source.read(1_000))
    assert page.get(f'fleetowl_xid_recovery_action{{gpu="3", node="n1", uuid="{UUID}"}}') == asks
    assert sum("last_timestamp" in name for name in page) == (2 if asks else 0)
    await source.close()


def test_times_that_are_kept_move_with_the_wall_clock() -> None:
    now, off = [100.0], [0.0]
    wall = WallClock(lambda: 1_000.0 + now[0] + off[0], lambda: now[0])
    moment = now[0]
    now[0] += 5
    off[0] = 3600
    wall.look()
    assert wall.at(moment) == 1_100.0 + 3600
    assert wall.moment(wall.at(42.0)) == 42.0
    # A clock that is slewed moves them now and then, not at each look.
    seen = set()
    for _ in range(1000):
        now[0] += 3
        off[0] += 0.0015
        wall.look()
        seen.add(wall.at(moment))
    assert len(seen) < 10
    assert wall.at(now[0]) == pytest.approx(1_000.0 + now[0] + off[0], abs=0.3)


def test_all_that_is_exported_is_declared() -> None:
    assert len({metric.name for metric in module.METRICS}) == len(module.METRICS)
    assert Labels({"a": "b"}).value("a") == "b"
