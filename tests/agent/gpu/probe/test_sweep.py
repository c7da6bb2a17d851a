"""The probe goes on whatever hangs, is lost, is switched or replaced, and says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.agent.gpu.probe.conftest import Bench, FakeNvml

TEMPERATURE = "nvmlDeviceGetTemperature"


def test_a_sweep_says_who_there_is_and_what_they_read(bench: Bench) -> None:
    sweep = bench.sweep()
    assert (sweep["state"], sweep["reason"], sweep["count"]) == ("ready", "", 2)
    assert (sweep["driver"], sweep["nvml"]) == ("580.105.08", "12.580.105.08")
    assert [identity["uuid"] for identity in sweep["identities"]] == ["GPU-0", "GPU-1"]
    assert sweep["identities"][1] == {
        "uuid": "GPU-1",
        "index": 1,
        "pci_bus_id": "00000000:01:00.0",
        "minor": 1,
        "name": "NVIDIA H200",
        "serial": "serial 1",
        "parent": "",
        "profile": "",
        "gpu_instance": -1,
        "compute_instance": -1,
    }
    for device in sweep["devices"]:
        assert (device["state"], device["values"]["DCGM_FI_DEV_GPU_TEMP"]) == ("up", 61)
        assert device.get("missing", {})["DCGM_FI_DEV_FAN_SPEED"] == "not supported by this device (NVML 3)"


def test_what_did_not_change_is_said_once(bench: Bench) -> None:
    bench.sweep()
    sweep = bench.sweep()
    assert sweep["identities"] == []
    assert all("missing" not in device for device in sweep["devices"])


def test_a_gpu_that_hangs_keeps_no_other_from_being_read(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[0].hang(TEMPERATURE)
    assert bench.states() == [("waiting", f"{TEMPERATURE} has not returned"), ("up", "")]
    bench.now += 4.9
    assert bench.states()[0][0] == "waiting"
    bench.now += 0.2
    hung, other = bench.sweep()["devices"]
    assert (hung["state"], hung["call"], hung["seconds"], hung["values"]) == ("hung", TEMPERATURE, 5.1, {})
    assert other["values"]["DCGM_FI_DEV_GPU_TEMP"] == 61


def test_a_gpu_that_hangs_is_not_asked_again_until_it_answers(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    event = nvml.gpus[0].hang(TEMPERATURE)
    before = threading.active_count()
    for _ in range(5):
        bench.sweep()
    assert nvml.gpus[0].asked[TEMPERATURE] == 2
    assert threading.active_count() == before
    del nvml.gpus[0].hangs[TEMPERATURE]
    event.set()
    while bench.states()[0][0] != "up":
        pass
    assert nvml.gpus[0].asked[TEMPERATURE] == 3


def test_a_gpu_known_to_hang_costs_no_deadline(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[0].hang(TEMPERATURE)
    bench.sweep()
    begun = time.perf_counter()
    assert bench.states(deadline=5.0)[0][0] == "waiting"
    assert time.perf_counter() - begun < 1.0


def test_a_gpu_that_hangs_before_it_says_who_it_is(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].hang("nvmlDeviceGetHandleByIndex")
    sweep = bench.sweep()
    assert (sweep["state"], sweep["call"]) == ("waiting", "nvmlDeviceGetHandleByIndex")
    assert sweep["reason"] == "GPU 0 has not said who it is: nvmlDeviceGetHandleByIndex has not returned"
    assert [(device["uuid"], device["state"]) for device in sweep["devices"]] == [("GPU-1", "up")]
    bench.now += 6
    assert bench.sweep()["state"] == "hung"


@pytest.mark.parametrize(("code", "state"), [(15, "lost"), (28, "lost"), (4, "failing"), (10, "failing")])
def test_only_what_is_gone_is_lost_before_it_says_who_it_is(
    bench: Bench, nvml: FakeNvml, code: int, state: str
) -> None:
    nvml.gpus[1].error = code
    sweep = bench.sweep()
    reason = sweep["reason"]
    assert sweep.get("unmet") == [{"index": 1, "state": state, "reason": reason}]
    assert f"(NVML {code})" in reason
    nvml.gpus[1].error = 0
    assert "unmet" not in bench.sweep()


def test_a_gpu_lost_before_it_says_who_it_is(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[1].error = 15
    sweep = bench.sweep()
    assert (sweep["state"], sweep["count"]) == ("ready", 2), "one GPU is not the driver"
    assert sweep["reason"] == "GPU 1 does not say who it is: GPU is lost (NVML 15)"
    assert [device["state"] for device in sweep["devices"]] == ["up"]
    nvml.gpus[1].error = 0
    assert bench.states() == [("up", ""), ("up", "")]
    assert bench.sweep()["reason"] == ""


@pytest.mark.parametrize(
    ("code", "state", "reason"),
    [
        (15, "lost", "GPU is lost (NVML 15)"),
        (28, "lost", "GPU not found (NVML 28)"),
        (16, "failing", "GPU requires a reset (NVML 16)"),
        (999, "failing", "unknown error in the driver (NVML 999)"),
    ],
)
def test_a_gpu_in_trouble_is_said_until_it_is_back(
    bench: Bench, nvml: FakeNvml, code: int, state: str, reason: str
) -> None:
    bench.sweep()
    nvml.gpus[1].error = code
    assert bench.states() == [("up", ""), (state, reason)]
    assert bench.states() == [("up", ""), (state, reason)]
    nvml.gpus[1].error = 0
    assert bench.states() == [("up", ""), ("up", "")]


def test_one_call_that_fails_costs_its_family_only(bench: Bench, nvml: FakeNvml) -> None:
    error = type(nvml).NVMLError(999)
    nvml.gpus[0].answers["nvmlDeviceGetPowerUsage"] = error
    device = bench.sweep()["devices"][0]
    assert device["state"] == "up"
    assert "DCGM_FI_DEV_POWER_USAGE" not in device["values"]
    missing = device.get("missing", {})
    assert missing["DCGM_FI_DEV_POWER_USAGE"] == "unknown error in the driver (NVML 999)"
    nvml.gpus[0].answers["nvmlDeviceGetPowerUsage"] = 1000
    device = bench.sweep()["devices"][0]
    assert device["values"]["DCGM_FI_DEV_POWER_USAGE"] == 1.0
    assert "DCGM_FI_DEV_POWER_USAGE" not in device["missing"]


def test_an_answer_that_is_none_costs_its_family_only(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].answers["nvmlDeviceGetUtilizationRates"] = "what?"
    device = bench.sweep()["devices"][0]
    assert device["state"] == "up"
    assert device.get("missing", {})["DCGM_FI_DEV_GPU_UTIL"].startswith("AttributeError")


def test_a_gpu_that_is_no_longer_listed_stays_in_the_report(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    gone = nvml.gpus.pop(0)
    bench.sweep()  # the count changes, and everyone is asked who they are
    sweep = bench.sweep()
    assert sweep["count"] == 1
    lost, up = sweep["devices"]
    assert lost["uuid"] == "GPU-0"
    assert (lost["state"], lost["reason"]) == ("lost", "no longer listed by the driver: 1 of 2")
    assert (up["uuid"], up["state"]) == ("GPU-1", "up")
    nvml.gpus.insert(0, gone)
    bench.sweep()
    assert bench.states() == [("up", ""), ("up", "")]


def test_the_last_reason_of_a_gpu_that_vanished_is_kept(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[1].error = 15
    bench.sweep()
    nvml.gpus.pop(1)
    bench.sweep()
    reason = "no longer listed by the driver: 1 of 2 (before: GPU is lost (NVML 15))"
    assert bench.states()[1] == ("lost", reason)


def test_a_gpu_at_another_index_is_still_itself(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus.reverse()
    bench.now += 31  # who is where is checked with the slow readings
    sweep = bench.sweep()
    assert {each["uuid"]: each["index"] for each in sweep["identities"]} == {"GPU-0": 1, "GPU-1": 0}
    assert bench.states() == [("up", ""), ("up", "")]


def test_a_list_that_shrinks_while_a_gpu_hangs(
    bench: Bench, nvml: FakeNvml, make: Callable[..., Bench]
) -> None:
    """The hung one keeps its thread; who has its index now is read by another."""
    bench.sweep()
    hung = nvml.gpus[0]
    hung.hang(TEMPERATURE)
    bench.sweep()
    nvml.gpus.pop(0)
    bench.sweep()
    assert [state for state, _ in bench.states()] == ["waiting", "up"]
    asked = hung.asked[TEMPERATURE]
    nvml.gpus.insert(0, hung)
    for _ in range(3):
        assert [state for state, _ in bench.states()] == ["waiting", "up"]
    assert hung.asked[TEMPERATURE] == asked, "a GPU is never in two calls at once"
    hung.hangs.pop(TEMPERATURE).set()
    while bench.states() != [("up", ""), ("up", "")]:
        pass


@pytest.mark.parametrize(("hung", "vanishes"), [(3, 5), (3, 1), (0, 5), (7, 0)])
def test_a_gpu_that_hangs_gets_no_second_call_when_another_vanishes(
    make: Callable[..., Bench], hung: int, vanishes: int
) -> None:
    from tests.agent.gpu.probe.conftest import FakeNvml

    nvml = FakeNvml(8)
    bench = make(nvml)
    bench.sweep(deadline=2.0)
    gpu = nvml.gpus[hung]
    events = [gpu.hang(call) for call in ("nvmlDeviceGetHandleByIndex", TEMPERATURE, "nvmlDeviceGetUUID")]
    bench.sweep()
    asked = gpu.asked.total()
    gone = nvml.gpus.pop(vanishes)
    gone.error = 15
    for _ in range(3):
        bench.now += 31  # the slow readings find out who is where
        sweep = bench.sweep()
        assert (sweep["state"], sweep["count"]) == ("ready", 7), "the driver does not hang"
        states = [each["state"] for each in sweep["devices"]]
        assert (states.pop(max(hung, vanishes)), states.pop(min(hung, vanishes))) == (
            ("hung", "lost") if hung > vanishes else ("lost", "hung")
        )
        assert states == ["up"] * 6
    assert gpu.asked.total() == asked
    gpu.hangs.clear()
    for event in events:
        event.set()
    while [each["state"] for each in bench.sweep(deadline=2.0)["devices"]].count("up") < 7:
        pass
    assert bench.states()[vanishes][0] == "lost"


def test_slow_readings_are_repeated_until_their_next_turn(bench: Bench, nvml: FakeNvml) -> None:
    energy = "nvmlDeviceGetTotalEnergyConsumption"
    for _ in range(3):
        for device in bench.sweep()["devices"]:
            assert device["values"]["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == 123_456_789
    assert nvml.gpus[0].asked[energy] == 1
    assert nvml.gpus[0].asked[TEMPERATURE] == 3


def test_slow_readings_of_the_gpus_do_not_fall_on_one_beat(make: Callable[..., Bench]) -> None:
    from tests.agent.gpu.probe.conftest import FakeNvml

    nvml = FakeNvml(8)
    bench = make(nvml)
    bench.sweep()
    turns: list[int] = []
    for _ in range(60):
        before = [gpu.asked["nvmlDeviceGetTotalEnergyConsumption"] for gpu in nvml.gpus]
        bench.now += 1
        bench.sweep(deadline=1.0)
        after = [gpu.asked["nvmlDeviceGetTotalEnergyConsumption"] for gpu in nvml.gpus]
        turns.append(sum(after) - sum(before))
    assert max(turns) == 1
    assert sum(turns) == 8 * 2


def test_nothing_is_asked_twice_that_is_not_supported(bench: Bench, nvml: FakeNvml) -> None:
    for _ in range(5):
        bench.sweep()
    assert nvml.gpus[0].asked["nvmlDeviceGetEncoderUtilization"] == 1
    bench.now += 31
    bench.sweep()
    assert nvml.gpus[0].asked["nvmlDeviceGetEncoderUtilization"] == 2, "MIG may have been switched"


def test_many_slow_gpus_all_get_their_turn(make: Callable[..., Bench]) -> None:
    """One after the other they would need longer than the deadline; the last would never be read."""
    from tests.agent.gpu.probe.conftest import FakeNvml

    nvml = FakeNvml(16)
    bench = make(nvml)
    bench.sweep(deadline=2.0)

    def temperature(sensor: int) -> int:
        time.sleep(0.015)
        return 61

    for gpu in nvml.gpus:
        gpu.answers[TEMPERATURE] = temperature
    bench.runs()
    begun = time.perf_counter()
    assert bench.states(deadline=0.16) == [("up", "")] * 16
    assert time.perf_counter() - begun < 0.2


def test_a_list_that_keeps_changing_costs_no_thread_each_time(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    nvml.gpus[0].hang("nvmlDeviceGetHandleByIndex")
    nvml.gpus[0].hang(TEMPERATURE)
    last = nvml.gpus.pop()
    for _ in range(3):
        bench.sweep()
    threads = threading.active_count()
    for _ in range(5):
        nvml.gpus.append(last)
        bench.sweep()
        nvml.gpus.pop()
        bench.sweep()
    assert threading.active_count() <= threads + 2, "one for the GPU that comes and goes, one that ends"
    nvml.gpus.append(last)


def test_a_look_asks_one_question_a_gpu(bench: Bench, nvml: FakeNvml) -> None:
    bench.sweep()
    asked = nvml.gpus[0].asked.copy()
    nvml.gpus[1].error = 15
    look = bench.sweep(do="look")
    assert [(each["state"], each["values"]) for each in look["devices"]] == [("up", {}), ("lost", {})]
    assert nvml.gpus[0].asked - asked == {"nvmlDeviceGetUtilizationRates": 1}
    nvml.gpus[1].error = 0
    assert [each["state"] for each in bench.sweep(do="look")["devices"]] == ["up", "up"]


def test_what_a_look_finds_anew_is_read_whole_in_the_next_sweep(bench: Bench, nvml: FakeNvml) -> None:
    nvml.gpus[0].error = 15
    bench.sweep()
    nvml.gpus[0].error = 0
    bench.sweep(do="look")
    values = bench.sweep()["devices"][0]["values"]
    assert values["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == 123_456_789
