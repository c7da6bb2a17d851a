"""The driver as a whole: absent, broken, hanging, failing, unloaded, upgraded."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from agent.gpu.probe.calls import BrokenLibrary, NoDriver

if TYPE_CHECKING:
    from tests.agent.gpu.probe.conftest import Bench, FakeNvml


TEMPERATURE = "nvmlDeviceGetTemperature"


def outdated(bench: Bench) -> bool:
    return bench.probe.outdated


def test_a_driver_none_of_whose_gpus_says_who_it_is_is_failing(bench: Bench, nvml: FakeNvml) -> None:
    for gpu in nvml.gpus:
        gpu.error = 15
    assert bench.sweep()["state"] == "failing"


def test_a_driver_call_that_hangs(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    event = nvml.hangs["nvmlDeviceGetCount"] = threading.Event()
    sweep = bench.sweep()
    assert (sweep["state"], sweep["call"]) == ("waiting", "nvmlDeviceGetCount")
    bench.now += 6
    sweep = bench.sweep()
    assert (sweep["state"], sweep["seconds"]) == ("hung", 6.0)
    assert [device["state"] for device in sweep["devices"]] == ["up", "up"], "GPUs are asked all the same"
    del nvml.hangs["nvmlDeviceGetCount"]
    event.set()
    while bench.sweep()["state"] != "ready":
        pass


def test_a_driver_that_hangs_from_the_start(bench: Bench, nvml: FakeNvml) -> None:
    nvml.hangs["nvmlInit"] = threading.Event()
    sweep = bench.sweep()
    assert (sweep["state"], sweep["call"], sweep["count"], sweep["devices"]) == (
        "waiting",
        "nvmlInit",
        -1,
        [],
    )
    bench.now += 6
    assert bench.sweep()["state"] == "hung"


@pytest.mark.parametrize("absent", [NoDriver("NVML library not found"), 9])
def test_no_driver_is_absent_and_not_looked_for_each_second(
    bench: Bench, nvml: FakeNvml, absent: NoDriver | int
) -> None:
    looked = 0

    def load() -> FakeNvml:
        nonlocal looked
        looked += 1
        if isinstance(absent, NoDriver):
            raise absent
        return nvml

    bench.load = load
    if isinstance(absent, int):
        nvml.errors["nvmlInit"] = absent
    for _ in range(3):
        sweep = bench.sweep()
        assert (sweep["state"], sweep["count"], sweep["devices"]) == ("absent", 0, [])
        assert sweep["reason"] in ("NVML library not found", "NVIDIA driver not loaded (NVML 9)")
        bench.now += 9
    assert looked == 1
    assert nvml.asked["nvmlInit"] <= 1
    nvml.errors.clear()
    bench.load = lambda: nvml
    bench.now += 4
    assert bench.sweep()["state"] == "ready"


def test_a_library_that_cannot_be_loaded_is_a_failure(bench: Bench) -> None:
    def load() -> None:
        raise BrokenLibrary("libnvidia-ml.so.1 cannot be loaded: file too short; reinstall the driver")

    bench.load = load
    sweep = bench.sweep()
    assert (sweep["state"], sweep["count"]) == ("failing", -1)
    assert "file too short" in sweep["reason"]


def test_a_library_that_is_no_nvml_is_a_failure(bench: Bench, nvml: FakeNvml) -> None:
    nvml.errors["nvmlInit"] = 13
    sweep = bench.sweep()
    assert sweep["state"] == "failing"
    assert sweep["reason"] == "libnvidia-ml.so.1 is no NVML: nvmlInit is not in it; reinstall the driver"


def test_a_driver_that_keeps_failing_is_opened_anew(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.errors["nvmlDeviceGetCount"] = 999
    for _ in range(3):
        sweep = bench.sweep()
        assert (sweep["state"], sweep["count"]) == ("failing", -1)
        assert sweep["reason"] == "nvmlDeviceGetCount: unknown error in the driver (NVML 999)"
        assert nvml.asked["nvmlInit"] == 1
    del nvml.errors["nvmlDeviceGetCount"]
    assert bench.sweep(deadline=2.0)["state"] == "ready"
    assert nvml.asked["nvmlInit"] == 2
    assert nvml.asked["nvmlShutdown"] == 1


def test_a_driver_that_is_not_initialised_is_opened_anew_at_once(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[0].error = 1
    bench.sweep()
    nvml.gpus[0].error = 0
    assert bench.sweep(deadline=2.0)["state"] == "ready"
    assert nvml.asked["nvmlInit"] == 2
    assert bench.states() == [("up", ""), ("up", "")]


def test_a_driver_is_not_closed_under_a_call(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[0].hang(TEMPERATURE)
    nvml.errors["nvmlDeviceGetCount"] = 999
    for _ in range(6):
        bench.sweep()
    assert nvml.asked["nvmlShutdown"] == 0


def test_a_gpu_that_stays_lost_has_the_driver_opened_anew_now_and_then(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[1].error = 15
    opened = []
    for _ in range(400):
        bench.now += 1
        bench.sweep(deadline=2.0)
        opened.append(nvml.asked["nvmlInit"])
    assert opened[25] == 1
    assert opened[60] == 2
    assert opened[-1] == 4, "after 30, 60 and 120 seconds more"


def test_a_driver_that_is_unloaded_and_loaded_again(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.errors |= {"nvmlDeviceGetCount": 9, "nvmlInit": 9}
    sweep = bench.sweep()
    assert (sweep["state"], sweep["count"]) == ("absent", 0)
    assert [(device["state"], device["reason"]) for device in sweep["devices"]] == [
        ("lost", "NVIDIA driver not loaded (NVML 9)")
    ] * 2
    nvml.errors.clear()
    bench.now += 31
    assert bench.states(deadline=2.0) == [("up", ""), ("up", "")]


def test_an_upgrade_asks_for_another_probe(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    assert outdated(bench) is False
    nvml.errors["nvmlDeviceGetCount"] = 18
    sweep = bench.sweep()
    assert outdated(bench) is True
    assert sweep["state"] == "failing"
    assert "the library and the loaded driver are of different versions (NVML 18)" in sweep["reason"]


@pytest.mark.parametrize("code", [18, 1, 9])
def test_a_driver_that_goes_away_in_a_sweep_takes_no_gpu_with_it(
    bench: Bench, nvml: FakeNvml, code: int
) -> None:
    """Those that were asked before are well, so the others would be believed to be lost."""
    bench.sweep()
    nvml.gpus[1].error = code
    up, unasked = bench.sweep()["devices"]
    assert (up["state"], unasked["state"]) == ("up", "waiting")
    assert f"(NVML {code})" in unasked["reason"]


def test_what_a_gpu_says_while_the_driver_goes_away_is_not_believed(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[0].error, nvml.gpus[1].error = 15, 18
    assert [state for state, _ in bench.states()] == ["waiting", "waiting"]


def test_a_mismatch_from_the_start_asks_for_another_probe_now_and_then(bench: Bench, nvml: FakeNvml) -> None:
    nvml.errors["nvmlInit"] = 18
    assert bench.sweep()["state"] == "failing"
    bench.now += 20
    bench.sweep()
    assert outdated(bench) is False
    bench.now += 11
    bench.sweep()
    assert outdated(bench) is True


def test_a_driver_that_takes_long_to_open_is_opened_once(bench: Bench, nvml: FakeNvml) -> None:
    event = nvml.hangs["nvmlInit"] = threading.Event()
    bench.sweep()
    event.set()
    while bench.sweep()["state"] != "ready":
        pass
    assert bench.states() == [("up", ""), ("up", "")]
    assert nvml.asked["nvmlInit"] == 1, "each would need a shutdown of its own"


def test_a_hang_is_no_reason_to_open_the_driver_anew(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    event = nvml.gpus[0].hang(TEMPERATURE)
    for _ in range(5):
        bench.now += 100
        bench.sweep()
    nvml.gpus[0].hangs.clear()
    event.set()
    while bench.states() != [("up", ""), ("up", "")]:
        pass
    assert nvml.asked["nvmlInit"] == 1


def test_a_driver_whose_gpus_are_all_lost_is_opened_anew_soon(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    for gpu in nvml.gpus:
        gpu.error = 15
    for _ in range(8):
        bench.now += 1
        bench.sweep()
    assert nvml.asked["nvmlInit"] == 2
