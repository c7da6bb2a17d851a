"""GPUs through a driver of our own: dcgm-exporter's names, and states that are no crashes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agent.collectors.gpu import Gpu
from agent.host import Host
from agent.nvml import METRICS, NoGPU
from model.metric import Sample

if TYPE_CHECKING:
    from tests.agent.conftest import FakeNvml

Flat = Callable[[Iterable[Sample]], dict[str, float]]


def _of(samples: Iterable[Sample], name: str) -> list[float]:
    return [sample.value for sample in samples if sample.name == name]


def _state(samples: Iterable[Sample]) -> tuple[str, str]:
    (status,) = [sample for sample in samples if sample.name == "fleetowl_gpu_status"]
    return status.labels["state"], status.labels.get("reason", "")


def test_readings_in_dcgms_units(host: Host, nvml: FakeNvml) -> None:
    samples = Gpu(host, lambda: nvml).collect()
    assert _state(samples) == ("ready", "")
    assert _of(samples, "fleetowl_gpu_count") == [2.0]
    assert _of(samples, "DCGM_FI_DEV_GPU_UTIL") == [90.0, 90.0]
    assert _of(samples, "DCGM_FI_DEV_MEM_COPY_UTIL") == [40.0, 40.0]
    assert _of(samples, "DCGM_FI_DEV_FB_USED") == [70_000.0, 70_000.0]
    assert _of(samples, "DCGM_FI_DEV_FB_FREE") == [10_000.0, 10_000.0]
    assert _of(samples, "DCGM_FI_DEV_FB_RESERVED") == [600.0, 600.0]
    assert _of(samples, "DCGM_FI_DEV_GPU_TEMP") == [61.0, 61.0]
    assert _of(samples, "DCGM_FI_DEV_POWER_USAGE") == [350.5, 350.5]
    assert _of(samples, "DCGM_FI_DEV_SM_CLOCK") == [1980.0, 1980.0]
    assert _of(samples, "DCGM_FI_DEV_MEM_CLOCK") == [2619.0, 2619.0]


def test_labels_are_dcgm_exporters(host: Host, nvml: FakeNvml, shared_data: Path) -> None:
    (line,) = [
        line
        for line in (shared_data / "captures" / "dcgm-exporter-real-L4-idle.prom").read_text().splitlines()
        if line.startswith("DCGM_FI_DEV_GPU_UTIL{")
    ]
    theirs = {part.partition("=")[0] for part in line.partition("{")[2].split('",')[:-1]}
    ours = next(s for s in Gpu(host, lambda: nvml).collect() if s.name == "DCGM_FI_DEV_GPU_UTIL").labels
    assert set(ours) == theirs | {"DCGM_FI_DRIVER_VERSION"}
    assert ours["pci_bus_id"] == "00000000:00:00.0"
    assert ours["device"] == "nvidia0"
    assert ours["Hostname"] == "gpu-7"
    assert ours["DCGM_FI_DRIVER_VERSION"] == "580.105.08"


def test_every_family_is_declared(host: Host, nvml: FakeNvml) -> None:
    collector = Gpu(host, lambda: nvml)
    assert {sample.name for sample in collector.collect()} == {metric.name for metric in collector.metrics}


def test_no_library_is_healthy_and_not_searched_each_second(host: Host) -> None:
    searches = 0
    now = 0.0

    def load() -> None:
        nonlocal searches
        searches += 1
        raise NoGPU("NVML library not found")

    collector = Gpu(host, load, timer=lambda: now)
    for _ in range(3):
        samples = collector.collect()
        assert _state(samples) == ("absent", "NVML library not found")
        assert _of(samples, "fleetowl_gpu_count") == [0.0]
    assert searches == 1
    now = 31.0
    collector.collect()
    assert searches == 2


def test_no_driver_is_absent_until_it_is_loaded(host: Host, nvml: FakeNvml) -> None:
    now = 0.0
    nvml.init_error = 9
    collector = Gpu(host, lambda: nvml, timer=lambda: now)
    assert _state(collector.collect())[0] == "absent"
    nvml.init_error, now = None, 31.0
    assert _state(collector.collect())[0] == "ready"


def test_a_lost_gpu_is_down_and_the_others_go_on(host: Host, nvml: FakeNvml) -> None:
    collector = Gpu(host, lambda: nvml)
    collector.collect()
    nvml.gpus[1].error = 15
    for _ in range(2):
        samples = collector.collect()
        assert _of(samples, "fleetowl_gpu_up") == [1.0, 0.0]
        assert _of(samples, "DCGM_FI_DEV_GPU_UTIL") == [90.0]
    nvml.gpus[1].error = None
    assert _of(collector.collect(), "fleetowl_gpu_up") == [1.0, 1.0]


def test_a_gpu_that_the_driver_no_longer_lists_is_down(host: Host, nvml: FakeNvml) -> None:
    collector = Gpu(host, lambda: nvml)
    collector.collect()
    nvml.gpus.pop()
    samples = collector.collect()
    assert _of(samples, "fleetowl_gpu_count") == [1.0]
    assert _of(samples, "fleetowl_gpu_up") == [1.0, 0.0]


def test_what_a_gpu_does_not_support_is_left_out(host: Host, nvml: FakeNvml) -> None:
    nvml.gpus[0].missing = {"power", "utilization"}
    samples = Gpu(host, lambda: nvml).collect()
    assert _of(samples, "fleetowl_gpu_up") == [1.0, 1.0]
    assert _of(samples, "DCGM_FI_DEV_POWER_USAGE") == [350.5]
    assert _of(samples, "DCGM_FI_DEV_GPU_TEMP") == [61.0, 61.0]


def test_memory_of_an_old_driver_has_no_reserved(host: Host, nvml: FakeNvml) -> None:
    nvml.memory_v2 = False
    samples = Gpu(host, lambda: nvml).collect()
    assert _of(samples, "DCGM_FI_DEV_FB_RESERVED") == []
    assert _of(samples, "DCGM_FI_DEV_FB_USED") == [70_600.0, 70_600.0]


@pytest.mark.parametrize(
    ("field", "bogus", "family"),
    [
        ("util", 4294967295, "DCGM_FI_DEV_GPU_UTIL"),
        ("temperature", 82505, "DCGM_FI_DEV_GPU_TEMP"),
        ("milliwatts", 0x7FFFFFF0, "DCGM_FI_DEV_POWER_USAGE"),
        ("used", 0x7FFFFFFFFFFFFFF2, "DCGM_FI_DEV_FB_USED"),
    ],
)
def test_impossible_values_are_dropped_and_counted(
    host: Host, nvml: FakeNvml, field: str, bogus: int, family: str
) -> None:
    setattr(nvml.gpus[0], field, bogus)
    samples = Gpu(host, lambda: nvml).collect()
    assert len(_of(samples, family)) == 1
    assert _of(samples, "fleetowl_gpu_values_refused_total") == [1.0]


def test_a_failing_driver_is_a_state_and_is_tried_again(host: Host, nvml: FakeNvml) -> None:
    collector = Gpu(host, lambda: nvml)
    nvml.driver_error = 999
    samples = collector.collect()
    assert _state(samples)[0] == "failing"
    assert _of(samples, "fleetowl_gpu_count") == [], "unknown, and not zero"
    nvml.driver_error = None
    assert _state(collector.collect())[0] == "ready"


def test_a_hung_driver_is_said_and_never_mistaken_for_lost_gpus(host: Host, nvml: FakeNvml) -> None:
    driver_returns, now = threading.Event(), 0.0
    collector = Gpu(host, lambda: nvml, deadline=0.02, timer=lambda: now)
    nvml.before_call = driver_returns.wait
    assert _state(collector.collect())[0] == "waiting"
    now = 5.0
    samples = collector.collect()
    assert _state(samples)[0] == "hung"
    assert {sample.name for sample in samples} == {"fleetowl_gpu_status"}
    driver_returns.set()
    while collector._worker.busy:
        pass
    assert _state(Gpu(host, lambda: nvml).collect())[0] == "ready"


def test_metrics_are_dcgms_default_types() -> None:
    assert {metric.type for metric in METRICS if metric.name.startswith("DCGM_")} == {"gauge"}
