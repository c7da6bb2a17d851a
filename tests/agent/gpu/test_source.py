"""The GPUs as series and events: what the probe says becomes what rules and dashboards read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from agent.event import Event
from agent.gpu.client import Condition
from agent.gpu.presence import Device
from agent.gpu.protocol import Sweep
from agent.gpu.source import OWN_METRICS, GpuSource
from agent.pods.owner import Owner
from agent.settings import AgentSettings
from model.labels import Labels
from model.metric import Metric
from tests.agent.gpu.doubles import (
    FakeProbe,
    by_gpu,
    family,
    flat,
    identity,
    instance,
    out,
    report,
    state_of,
    sweep,
    told,
    well,
)

Make = Callable[..., GpuSource]


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def make(tmp_path: Path, events: list[Event]) -> Make:
    def build(probe: FakeProbe, gpu: Mapping[str, Any] | None = None, **more: Any) -> GpuSource:
        settings = AgentSettings.model_validate(
            {
                "node": "gpu-7",
                "interval": "1s",
                "sysfs": tmp_path / "sys",
                "gpu": {"last_seen": tmp_path / "gpus.json", **(gpu or {})},
            }
        )
        families = (Metric("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %)."),)
        return GpuSource(settings, probe, events.append, families, **more)

    return build


async def test_series_have_dcgms_names_and_labels(make: Make) -> None:
    reading = await make(FakeProbe(well(1))).read(1000)
    labels = {
        "gpu": "0",
        "UUID": "GPU-0",
        "pci_bus_id": "00000000:17:00.0",
        "device": "nvidia0",
        "modelName": "NVIDIA H200",
        "Hostname": "gpu-7",
        "DCGM_FI_DRIVER_VERSION": "580.105.08",
    }
    assert family(reading, "DCGM_FI_DEV_GPU_UTIL") == {Labels(labels).pairs: 90.0}
    assert family(reading, "fleetowl_gpu_up") == {Labels(labels).without("modelName").pairs: 1.0}
    pushed = next(each for each in reading.series if each.name == "DCGM_FI_DEV_GPU_UTIL")
    target = {"job": "fleetowl-agent", "instance": "gpu-7", "node": "gpu-7"}
    assert dict(pushed) == {"__name__": "DCGM_FI_DEV_GPU_UTIL", **labels, **target}
    assert reading.types["DCGM_FI_DEV_GPU_UTIL"] == "gauge"
    assert state_of(reading) == ("ready", "")
    assert family(reading, "fleetowl_gpu_driver_devices") == {(): 1.0}


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("Hostname", {"Hostname"}), ("hostname", {"hostname"}), ("both", {"Hostname", "hostname"})],
)
async def test_the_host_label_is_spelled_as_configured(make: Make, setting: str, expected: set[str]) -> None:
    links = [("DCGM_FI_DEV_NVLINK_BANDWIDTH_L0", {"nvlink": "0"}, 5.0)]
    source = make(FakeProbe(sweep(report("GPU-0", parts=links))), {"hostname_label": setting})
    reading = await source.read(1000)
    for name in ("DCGM_FI_DEV_GPU_UTIL", "fleetowl_gpu_up", "DCGM_FI_DEV_NVLINK_BANDWIDTH_L0"):
        ((labels, _),) = family(reading, name).items()
        assert {key for key, value in labels if value == "gpu-7"} == expected


async def test_links_are_spelled_as_dcgm_exporter_spells_them(make: Make) -> None:
    parts = [("LINK", {"nvlink": "3"}, 5.0), ("PART", {"location": "sram"}, 7.0)]
    parts.append(("fleetowl_gpu_part", {"spare": "high"}, 9.0))
    reading = await make(FakeProbe(sweep(report("GPU-0", parts=parts)))).read(1000)
    ((link, _),) = family(reading, "LINK").items()
    assert {"nvlink", "gpu", "gpu_uuid", "model_name"} <= dict(link).keys()
    assert not {"UUID", "modelName"} & dict(link).keys()
    ((part, value),) = family(reading, "PART").items()
    assert (dict(part)["UUID"], dict(part)["location"], value) == ("GPU-0", "sram", 7.0)
    ((own, _),) = family(reading, "fleetowl_gpu_part").items()
    assert "modelName" in dict(part)
    assert "modelName" not in dict(own)


async def test_mig_instances_have_their_gpus_labels_and_their_own(make: Make) -> None:
    instances = [instance(0, 1), instance(0, 2), instance(0, 2, compute=1)]
    reports = [report("GPU-0"), *(report(each["uuid"]) for each in instances)]
    answer = sweep(*reports, identities=[identity(0), *instances])
    reading = await make(FakeProbe(answer)).read(1000)
    found = [dict(labels) for labels in family(reading, "DCGM_FI_DEV_GPU_UTIL")]
    assert {each["UUID"] for each in found} == {"GPU-0"}
    assert [each.get("GPU_I_ID") for each in found] == [None, "1", "2", "2"]
    assert found[1]["GPU_I_PROFILE"] == "1g.18gb"
    assert len(flat(reading)) == len(reading.values), "no label set is there twice"
    assert len(family(reading, "fleetowl_gpu_up")) == 1, "an instance is no GPU to lose"


async def test_mig_is_switched_off_under_way(make: Make, events: list[Event]) -> None:
    one = instance(0, 1)
    with_mig = sweep(report("GPU-0"), report(one["uuid"]), identities=[identity(0), one])
    without = sweep(report("GPU-0"), report(one["uuid"], state="lost", reason="no longer listed"))
    source = make(FakeProbe(with_mig, without, without, with_mig))
    await source.read(1000)
    reading = await source.read(2000)
    assert by_gpu(reading, "DCGM_FI_DEV_GPU_UTIL") == {"0": 90.0}
    assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0}
    assert events == []
    await source.read(3000)
    assert len(family(await source.read(4000), "DCGM_FI_DEV_GPU_UTIL")) == 2, "it is on again"


async def test_one_pod_labels_its_gpu_several_do_not(make: Make) -> None:
    owners: dict[str, Sequence[Owner]] = {
        "GPU-0": [Owner("llm-0", "serving", "engine")],
        "GPU-1": [Owner("a", "dev", "x"), Owner("b", "dev", "x")],
    }
    source = make(FakeProbe(well(3)), owners=lambda uuid: owners.get(uuid, ()))
    reading = await source.read(1000)
    found = [dict(labels) for labels in family(reading, "DCGM_FI_DEV_GPU_UTIL")]
    pods = {each["gpu"]: each.get("pod") for each in found}
    assert pods == {"0": "llm-0", "1": None, "2": None}
    assert all("pod" not in dict(labels) for labels in family(reading, "fleetowl_gpu_up"))
    owners["GPU-2"] = [Owner("late", "serving", "engine")]
    later = await source.read(2000)
    assert "late" in {dict(labels).get("pod") for labels in family(later, "DCGM_FI_DEV_GPU_UTIL")}


async def test_a_lost_gpu_is_down_told_once_and_told_when_it_is_back(make: Make, events: list[Event]) -> None:
    gone = report("GPU-1", state="lost", reason="GPU is lost (NVML 15)")
    lost = sweep(report("GPU-0"), gone, identities=[])
    source = make(FakeProbe(well(), lost, lost, well()))
    await source.read(1000)
    for at in (2000, 3000):
        reading = await source.read(at)
        assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0, "1": 0.0}
        assert by_gpu(reading, "DCGM_FI_DEV_GPU_UTIL") == {"0": 90.0}
        states = [dict(labels) for labels in family(reading, "fleetowl_gpu_device_status")]
        assert [(each["state"], each.get("reason")) for each in states] == [
            ("up", None),
            ("lost", "GPU is lost (NVML 15)"),
        ]
        assert told(events) == [("gpu_lost", "1")]
    (event,) = events
    assert event.labels == {"node": "gpu-7", "gpu": "1", "uuid": "GPU-1"}
    assert "GPU is lost (NVML 15)" in event.text
    (ahead,) = event.ahead
    assert (ahead.value, ahead.at) == (0.0, 2000)
    assert ahead.labels in reading.series, "the same series as the frame's"
    assert by_gpu(await source.read(4000), "fleetowl_gpu_up") == {"0": 1.0, "1": 1.0}
    assert told(events) == [("gpu_lost", "1"), ("gpu_back", "1")]


async def test_one_hung_gpu_is_named_and_the_others_stay_fresh(make: Make, events: list[Event]) -> None:
    def at(seconds: float, state: str) -> Sweep:
        hung = report("GPU-1", state=state, call="nvmlDeviceGetPowerUsage", seconds=seconds)
        return sweep(report("GPU-0"), hung, count=2)

    source = make(FakeProbe(well(), at(0.3, "waiting"), at(5.3, "hung"), at(6.3, "hung"), well()))
    await source.read(0)
    waiting = await source.read(1000)
    assert family(waiting, "fleetowl_probe_hung") == {}
    assert by_gpu(waiting, "fleetowl_gpu_up") == {"0": 1.0, "1": 1.0}
    for seconds in (5.3, 6.3):
        reading = await source.read(6000)
        ((labels, value),) = family(reading, "fleetowl_probe_hung").items()
        assert (dict(labels), value) == (
            {"gpu": "1", "uuid": "GPU-1", "call": "nvmlDeviceGetPowerUsage"},
            1.0,
        )
        assert by_gpu(reading, "fleetowl_probe_hung_seconds") == {"1": seconds}
        assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0}, "unknown, and not lost"
        assert by_gpu(reading, "DCGM_FI_DEV_GPU_UTIL") == {"0": 90.0}
    assert told(events) == [("probe_hung", "1")]
    assert events[0].ahead[0].labels in reading.series
    assert family(await source.read(8000), "fleetowl_probe_hung") == {}
    assert told(events) == [("probe_hung", "1")]


@pytest.mark.parametrize("state", ["absent", "waiting", "hung", "failing"])
async def test_a_driver_that_does_not_answer_claims_nothing_of_its_gpus(
    make: Make, events: list[Event], state: Any
) -> None:
    silent = out(state, "because", "nvmlDeviceGetCount_v2")
    source = make(FakeProbe(well(), silent, silent, well()))
    await source.read(1000)
    for at in (2000, 3000):
        reading = await source.read(at)
        assert state_of(reading) == (state, "because")
        assert family(reading, "fleetowl_gpu_up") == {}
        assert family(reading, "DCGM_FI_DEV_GPU_UTIL") == {}
        assert family(reading, "fleetowl_gpu_driver_devices") == ({(): 0.0} if state == "absent" else {})
    assert by_gpu(await source.read(4000), "fleetowl_gpu_up") == {"0": 1.0, "1": 1.0}
    assert told(events) == ([("probe_hung", "")] if state == "hung" else [])


@pytest.mark.parametrize("state", ["waiting", "hung", "failing", "released"])
async def test_a_probe_that_does_not_answer_is_said(make: Make, events: list[Event], state: Any) -> None:
    quiet = Condition(state, "because", "probe" if state == "hung" else "", 7.0)
    source = make(FakeProbe(well(), quiet))
    await source.read(1000)
    reading = await source.read(2000)
    assert state_of(reading) == (state, "because")
    assert family(reading, "fleetowl_gpu_up") == {}
    assert family(reading, "fleetowl_gpu_driver_devices") == {}
    hung = {(("call", "probe"),): 1.0} if state == "hung" else {}
    assert family(reading, "fleetowl_probe_hung") == hung
    assert told(events) == ([("probe_hung", "")] if state == "hung" else [])


async def test_a_failing_gpu_is_there_with_its_reason(make: Make, events: list[Event]) -> None:
    failing = report("GPU-1", state="failing", reason="GPU requires a reset (NVML 16)", values={})
    reading = await make(FakeProbe(sweep(report("GPU-0"), failing))).read(1000)
    assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0}, "nobody knows, and it is not lost"
    said = [dict(labels) for labels in family(reading, "fleetowl_gpu_device_status")]
    assert [(each["state"], each.get("reason")) for each in said] == [
        ("up", None),
        ("failing", "GPU requires a reset (NVML 16)"),
    ]
    assert events == [], "it is there"


@pytest.mark.parametrize("state", ["waiting", "failing"])
async def test_a_lost_gpu_stays_lost_until_it_is_back(make: Make, events: list[Event], state: str) -> None:
    answers = [sweep(report("GPU-0"), report("GPU-1", state=each)) for each in ("lost", state, "up")]
    source = make(FakeProbe(well(), *answers))
    ups = [by_gpu(await source.read(at), "fleetowl_gpu_up")["1"] for at in range(0, 4000, 1000)]
    assert ups == [1.0, 0.0, 0.0, 1.0]
    assert told(events) == [("gpu_lost", "1"), ("gpu_back", "1")]


async def test_a_gpu_that_gives_a_new_process_no_handle_is_told(make: Make, events: list[Event]) -> None:
    now = 0.0
    why = "GPU 1 does not say who it is: not permitted (NVML 4)"
    unmet = [{"index": 1, "state": "failing", "reason": why}]
    answer = sweep(report("GPU-0"), count=2, state="failing", reason=why, unmet=unmet)
    source = make(FakeProbe(answer), timer=lambda: now)
    source._presence.devices["GPU-1"] = Device(identity(1), 0)
    await source.read(1000)
    now = 1.0
    reading = await source.read(2000)
    assert by_gpu(reading, "fleetowl_gpu_up") == {"0": 1.0}
    assert {dict(labels)["state"] for labels in family(reading, "fleetowl_gpu_device_status")} == {
        "up",
        "failing",
    }
    assert events == []


async def test_an_event_makes_it_look_at_once(make: Make, events: list[Event]) -> None:
    lost = sweep(report("GPU-0"), report("GPU-1", state="lost", reason="x"), identities=[])
    probe = FakeProbe(well(), lost)
    source = make(probe)
    await source.read(1000)
    for _ in range(100):
        source.look()
    for _ in range(10):
        await asyncio.sleep(0)
    assert told(events) == [("gpu_lost", "1")]
    assert probe.asked == 2, "a storm of events is no storm of questions"
    await source.close()
    assert probe.closed


async def test_what_gpus_do_not_give_is_said_once_where_they_agree(make: Make) -> None:
    lacking = {"DCGM_FI_DEV_ENC_UTIL": "not supported (NVML 3)"}
    more = {**lacking, "DCGM_FI_DEV_POWER_USAGE": "not permitted (NVML 4)"}
    source = make(FakeProbe(sweep(report("GPU-0", missing=lacking), report("GPU-1", missing=more)), well()))
    for at in (1000, 2000):
        reading = await source.read(at)
        found = [dict(labels) for labels in family(reading, "fleetowl_gpu_missing")]
        assert found == [
            {"family": "DCGM_FI_DEV_ENC_UTIL", "device": "gpu", "reason": "not supported (NVML 3)"},
            {
                "family": "DCGM_FI_DEV_POWER_USAGE",
                "device": "gpu",
                "gpu": "1",
                "reason": "not permitted (NVML 4)",
            },
        ]


async def test_refused_values_are_counted_on_over_a_new_probe(make: Make) -> None:
    def refused(count: int) -> Sweep:
        return sweep(report("GPU-0", refused={"DCGM_FI_DEV_GPU_UTIL": count}))

    source = make(FakeProbe(refused(2), refused(5), refused(1)))
    for at, total in ((1000, 2.0), (2000, 5.0), (3000, 6.0)):
        counts = family(await source.read(at), "fleetowl_gpu_values_refused_total")
        assert counts == {(("family", "DCGM_FI_DEV_GPU_UTIL"),): total}


async def test_restarts_and_events_are_told(make: Make) -> None:
    probe = FakeProbe(well(), well(events="not supported by this driver"))
    source = make(probe)
    assert family(await source.read(1000), "fleetowl_gpu_events_up") == {(): 1.0}
    probe.restarts["mismatch"] += 1
    reading = await source.read(2000)
    assert family(reading, "fleetowl_gpu_events_up") == {(("reason", "not supported by this driver"),): 0.0}
    assert family(reading, "fleetowl_probe_restarts_total") == {(("reason", "mismatch"),): 1.0}


async def test_the_probes_cost_is_told(make: Make) -> None:
    import os

    probe = FakeProbe()
    probe.pid = os.getpid()
    reading = await make(probe).read(1000)
    assert family(reading, "fleetowl_probe_resident_memory_bytes")[()] > 1 << 20
    assert family(reading, "fleetowl_probe_cpu_seconds_total")[()] > 0


class History:
    """One XID 31 on GPU 0."""

    def last(self, uuid: str) -> int:
        return 31 if uuid == "GPU-0" else 0

    def recent(self, uuid: str, now: int) -> Mapping[int, int]:
        return {31: 4, 43: 1} if uuid == "GPU-0" and now < 2000 else {}


async def test_xids_come_from_the_history(make: Make) -> None:
    source = make(FakeProbe(well()), history=History())
    reading = await source.read(1000)
    assert by_gpu(reading, "DCGM_FI_DEV_XID_ERRORS") == {"0": 31.0, "1": 0.0}
    counted = {
        (dict(labels)["gpu"], dict(labels).get("xid"), dict(labels)["window_size_in_ms"]): value
        for labels, value in family(reading, "DCGM_EXP_XID_ERRORS_COUNT").items()
    }
    assert counted == {
        ("0", "31", "300000"): 4.0,
        ("0", "43", "300000"): 1.0,
        ("1", None, "300000"): 0.0,
    }


async def test_clock_events_are_counted_over_the_window(make: Make) -> None:
    def mask(value: float) -> Sweep:
        return sweep(report("GPU-0", values={"DCGM_FI_DEV_CLOCKS_EVENT_REASONS": value}))

    source = make(FakeProbe(mask(0x0), mask(0x4), mask(0x44), mask(0x0)))
    found = []
    for at in (0, 1000, 2000, 301_500):
        counts = family(await source.read(at), "DCGM_EXP_CLOCK_EVENTS_COUNT")
        found.append({dict(labels).get("clock_event"): value for labels, value in counts.items()})
    assert found == [
        {None: 0.0},
        {"power_cap": 1.0},
        {"power_cap": 2.0, "hw_thermal": 1.0},
        {"power_cap": 1.0, "hw_thermal": 1.0},
    ]


async def test_label_sets_are_built_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {f"DCGM_FI_{number}": 1.0 for number in range(70)}
    links = [("LINK", {"nvlink": str(number)}, 1.0) for number in range(18)]
    answer = sweep(*(report(f"GPU-{each}", values=dict(values), parts=links) for each in range(8)))
    source = make(FakeProbe(answer), history=History())
    for at in (1000, 2000, 3000):
        before = await source.read(at)
    built = 0
    original = Labels.__init__

    def counting(self: Labels, *arguments: Any) -> None:
        nonlocal built
        built += 1
        original(self, *arguments)

    monkeypatch.setattr(Labels, "__init__", counting)
    reading = await source.read(4000)
    assert built == 0
    assert reading.series is before.series, "unchanged series keep their list"
    assert len(reading.values) > 8 * 88


async def test_the_log_has_one_line_for_each_change(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    source = make(FakeProbe(well(), out("failing", "x"), out("failing", "x"), well(), well()))
    for at in range(5):
        await source.read(at)
    assert [record.message for record in caplog.records] == [
        "the GPU driver of gpu-7 is ready",
        "the GPU driver of gpu-7 is failing: x",
        "the GPU driver of gpu-7 is ready",
    ]


def test_families_are_declared_once_and_have_units() -> None:
    names = [metric.name for metric in OWN_METRICS]
    assert len(names) == len(set(names))
    assert all((metric.type == "counter") == metric.name.endswith("_total") for metric in OWN_METRICS), (
        "promtool's rule"
    )


async def test_a_look_that_fails_is_said_once_and_tried_again(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.gpu.source._WATCH", 0.001)
    monkeypatch.setattr("agent.gpu.source._BETWEEN_LOOKS", 0.001)
    looks, seen = 0, asyncio.Event()

    def follow(sweep: Sweep) -> None:
        nonlocal looks
        looks += 1
        if looks == 20:
            seen.set()
        if 1 < looks < 8:
            raise KeyError("of somebody else")

    source = make(FakeProbe(well()), followers=[follow])
    source.interval = 5000
    await source.read(1000)
    source.look()
    async with asyncio.timeout(5):
        await seen.wait()
    assert [record.getMessage() for record in caplog.records if record.exc_info] == [
        "a look at the GPUs failed; it is tried again"
    ]
    await source.close()


async def test_a_disk_that_hangs_keeps_nobody_from_ending(
    make: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("agent.gpu.source._WRITING", 0.01)
    os.mkfifo(tmp_path / ".gpus.json.new")
    source = make(FakeProbe(well(1), well(2), well(2)))
    await source.read(0)
    async with asyncio.timeout(1):
        await source.close()
    assert [record.getMessage() for record in caplog.records] == [
        "which GPUs there are is not written down yet: no answer within 0.01 s"
    ]
    writer = source._disk._thread
    assert writer is not None
    assert writer.daemon, "the interpreter waits for no daemon"
    await source.read(1000)
    assert len(caplog.records) == 1, "no second one is begun beside it"
    with (tmp_path / ".gpus.json.new").open("rb"):
        writer.join(5)
