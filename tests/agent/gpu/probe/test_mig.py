"""MIG instances are devices of their own; they come and go without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.agent.gpu.probe.conftest import instance

if TYPE_CHECKING:
    from tests.agent.gpu.probe.conftest import Bench, FakeNvml


def test_instances_are_devices_with_a_parent(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].instances = [instance(0), instance(1, "NVIDIA H200")]
    sweep = bench.sweep()
    assert [device["uuid"] for device in sweep["devices"]] == ["GPU-0", "MIG-0", "MIG-1", "GPU-1"]
    first, second = (each for each in sweep["identities"] if each["parent"])
    assert (first["uuid"], first["parent"], first["index"]) == ("MIG-0", "GPU-0", 0)
    assert (first["profile"], first["gpu_instance"], first["compute_instance"]) == ("1g.18gb", 7, 0)
    assert second["profile"] == "2g.35gb", "made of the attributes where the name does not tell"
    values = sweep["devices"][1]["values"]
    assert (values["DCGM_FI_DEV_FB_USED"], values["DCGM_FI_DEV_FB_FREE"]) == (1024, 1024)
    assert "DCGM_FI_DEV_GPU_TEMP" not in values
    assert nvml.gpus[0].instances[0].asked["nvmlDeviceGetTemperature"] == 0


def test_mig_is_switched_on_and_off_under_way(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[0].instances = [instance(0)]
    bench.now += 31
    assert [device["uuid"] for device in bench.sweep()["devices"]] == ["GPU-0", "MIG-0", "GPU-1"]
    nvml.gpus[0].instances = []
    bench.now += 31
    assert [device["uuid"] for device in bench.sweep()["devices"]] == ["GPU-0", "GPU-1"]


def test_an_instance_whose_handle_fails_has_them_all_listed_anew(bench: Bench, nvml: FakeNvml) -> None:
    old, new = instance(0), instance(1)
    nvml.gpus[0].instances = [old]
    bench.sweep()
    nvml.gpus[0].instances = [new]
    old.error = 28
    sweep = bench.sweep()
    assert [(device["uuid"], device["state"]) for device in sweep["devices"]] == [
        ("GPU-0", "up"),
        ("MIG-1", "up"),
        ("GPU-1", "up"),
    ]


def test_an_instance_that_comes_again_says_again_who_it_is(bench: Bench, nvml: FakeNvml) -> None:
    for _ in range(3):
        nvml.gpus[0].instances = [instance(0)]
        bench.now += 31
        assert "MIG-0" in [identity["uuid"] for identity in bench.sweep()["identities"]]
        nvml.gpus[0].instances = []
        bench.now += 31
        bench.sweep()
        assert bench.probe._said.keys() == {"GPU-0", "GPU-1"}


def test_instances_share_the_fate_of_their_gpu(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].instances = [instance(0)]
    bench.sweep()
    nvml.gpus[0].error = 15
    states = bench.states()
    assert states == [("lost", "GPU is lost (NVML 15)")] * 2 + [("up", "")]


def test_instances_of_a_gpu_that_hangs_hang_with_it(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].instances = [instance(0)]
    bench.sweep()
    nvml.gpus[0].instances[0].hang("nvmlDeviceGetMemoryInfo")
    sweep = bench.sweep()
    assert [device["state"] for device in sweep["devices"]] == ["waiting", "waiting", "up"]
    assert {device["call"] for device in sweep["devices"]} == {"nvmlDeviceGetMemoryInfo", ""}
    nvml.gpus[0].instances[0].hangs.pop("nvmlDeviceGetMemoryInfo").set()


def test_row_remapping_cannot_be_read_under_mig(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].instances = [instance(0)]
    missing = bench.sweep()["devices"][0].get("missing", {})
    reason = "cannot be read while the GPU is in MIG mode: not supported by this device (NVML 3)"
    assert missing["DCGM_FI_DEV_ROW_REMAP_FAILURE"] == reason
