"""The whole probe, a process of its own with the real bindings over the stub driver."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from agent.gpu.protocol import OUTDATED, RELEASED, USAGE
from simulator.nvml.stub import Stub
from tests.agent.gpu.probe.child import Child

Start = Callable[..., Child]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a probe; ends it with the test."""
    started: list[Child] = []

    def begin(stub: Stub, *arguments: str) -> Child:
        started.append(Child(stub.environment(), *arguments))
        return started[-1]

    yield begin
    for child in started:
        child.end()


def test_an_h100_says_what_it_is_and_reads(nvml_stub: Callable[..., Stub], start: Start) -> None:
    stub = nvml_stub(gpus=2, profile="h100", load="busy")
    stub.gpus[1].set(temperature=71, memory_temperature=80, power=612.5)
    child = start(stub)
    sweep = child.sweep()
    assert (sweep["state"], sweep["count"], sweep["driver"]) == ("ready", 2, "570.86.15")
    who = sweep["identities"][1]
    assert (who["uuid"], who["pci_bus_id"]) == (stub.gpus[1].uuid, stub.gpus[1].pci_bus_id)
    assert (who["index"], who["minor"], who["name"]) == (1, 1, "NVIDIA H100 80GB HBM3")
    first, second = sweep["devices"]
    expected = {
        "DCGM_FI_DEV_GPU_UTIL": 97,
        "DCGM_FI_DEV_MEM_COPY_UTIL": 58,
        "DCGM_FI_DEV_FB_USED": 76600,
        "DCGM_FI_DEV_FB_FREE": 81559 - 76600 - 555,
        "DCGM_FI_DEV_FB_RESERVED": 555,
        "DCGM_FI_DEV_GPU_TEMP": 62,
        "DCGM_FI_DEV_MEMORY_TEMP": 74,
        "DCGM_FI_DEV_POWER_USAGE": 560,
        "DCGM_FI_DEV_SM_CLOCK": 1755,
        "DCGM_FI_DEV_MAX_SM_CLOCK": 1980,
        "DCGM_FI_DEV_MEM_CLOCK": 2619,
        "DCGM_FI_DEV_SLOWDOWN_TEMP": 89,
        "DCGM_FI_DEV_SHUTDOWN_TEMP": 92,
        "DCGM_FI_DEV_PCIE_LINK_GEN": 5,
        "DCGM_FI_DEV_PCIE_LINK_WIDTH": 16,
        "DCGM_FI_DEV_POWER_MGMT_LIMIT": 700,
        "fleetowl_gpu_recovery_action": 0,
    }
    assert {name: first["values"].get(name) for name in expected} == expected
    assert second["values"]["DCGM_FI_DEV_GPU_TEMP"] == 71
    assert second["values"]["DCGM_FI_DEV_MEMORY_TEMP"] == 80
    assert second["values"]["DCGM_FI_DEV_POWER_USAGE"] == 612.5
    assert sum(part[0] == "fleetowl_gpu_nvlink_up" for part in first["parts"]) == 18
    assert first.get("missing", {})["DCGM_FI_DEV_FAN_SPEED"] == "not supported by this device (NVML 3)"
    time.sleep(0.12)
    profile = child.sweep()["devices"][0]["values"]
    assert profile["DCGM_FI_PROF_GR_ENGINE_ACTIVE"] == pytest.approx(0.96)
    assert profile["DCGM_FI_PROF_PIPE_TENSOR_ACTIVE"] == pytest.approx(0.38)
    assert profile["DCGM_FI_PROF_PCIE_TX_BYTES"] == pytest.approx(310_000_000, rel=0.01)


def test_counters_come_with_their_own_number(nvml_stub: Callable[..., Stub], start: Start) -> None:
    """Each has another value, so that none can stand for another."""
    stub = nvml_stub(gpus=1)
    gpu = stub.gpus[0]
    gpu.returns("nvmlDeviceGetEncoderUtilization", 3)
    gpu.bogus(pcie_generation=3, pcie_width=8)
    values = start(stub).sweep()["devices"][0]
    assert values["values"]["DCGM_FI_DEV_PCIE_LINK_GEN"] == 3
    assert values["values"]["DCGM_FI_DEV_PCIE_LINK_WIDTH"] == 8
    assert "DCGM_FI_DEV_ENC_UTIL" in values.get("missing", {})


def test_an_l4_has_no_gpm_but_a_reason(nvml_stub: Callable[..., Stub], start: Start) -> None:
    device = start(nvml_stub(gpus=1, profile="l4")).sweep()["devices"][0]
    missing = device.get("missing", {})
    assert missing["DCGM_FI_PROF_SM_ACTIVE"] == "this GPU has no GPM counters (they came with Hopper)"
    assert missing["fleetowl_gpu_nvlink_up"] == "no NVLink"


def test_an_old_driver_lacks_calls_and_says_which(nvml_stub: Callable[..., Stub], start: Start) -> None:
    without = (
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlGpmQueryDeviceSupport",
        "nvmlDeviceGetMarginTemperature",
        "nvmlDeviceGetCurrentClocksEventReasons",
    )
    device = start(nvml_stub(gpus=1, without=without)).sweep()["devices"][0]
    missing = device.get("missing", {})
    assert device["state"] == "up"
    assert missing["DCGM_FI_DEV_FB_RESERVED"] == "this driver counts it as used"
    assert missing["DCGM_FI_DEV_GPU_TEMP_LIMIT"] == "not in this driver's library (NVML 13)"
    assert "DCGM_FI_DEV_CLOCKS_EVENT_REASONS" in device["values"]


def test_mig_instances(nvml_stub: Callable[..., Stub], start: Start) -> None:
    stub = nvml_stub(gpus=1)
    stub.gpus[0].mig(["1g.10gb", "2g.20gb"])
    stub.gpus[0].instance(1, memory_used=3 << 30, sm_activity=40)
    stub.gpus[0].processes([(4321, 2 << 30)], mig=1, name="server")
    child = start(stub)
    sweep = child.sweep()
    instances = [each for each in sweep["identities"] if each["parent"]]
    assert [each["profile"] for each in instances] == ["1g.10gb", "2g.20gb"]
    assert [each["uuid"] for each in instances] == stub.gpus[0].mig_uuids
    time.sleep(0.12)
    second = child.sweep()["devices"][2]
    assert second["values"]["DCGM_FI_DEV_FB_USED"] == 3072
    assert second["values"]["DCGM_FI_PROF_SM_ACTIVE"] == pytest.approx(0.4)
    assert [(each["pid"], each["bytes"]) for each in second["processes"]] == [(4321, 2 << 30)]


def test_a_hang_is_that_gpus_alone(nvml_stub: Callable[..., Stub], start: Start) -> None:
    stub = nvml_stub(gpus=3)
    child = start(stub, "--hung-after", "0.1")
    child.sweep()
    stub.gpus[1].hang("nvmlDeviceGetTemperature")
    assert [device["state"] for device in child.sweep(0.05)["devices"]] == ["up", "waiting", "up"]
    time.sleep(0.1)
    hung = child.sweep(0.05)["devices"][1]
    assert (hung["state"], hung["call"]) == ("hung", "nvmlDeviceGetTemperature")
    assert stub.blocked(gpu=1) == 1
    stub.gpus[1].release()
    assert _until_up(child, 1)


def _until_up(child: Child, index: int) -> bool:
    for _ in range(200):
        if child.sweep()["devices"][index]["state"] == "up":
            return True
        time.sleep(0.005)
    return False


def test_an_xid_is_said_at_once(nvml_stub: Callable[..., Stub], start: Start) -> None:
    stub = nvml_stub(gpus=2)
    child = start(stub)
    assert child.sweep()["events"] == ""
    begun = time.perf_counter()
    stub.gpus[1].xid(79)
    message = child.hear()
    assert time.perf_counter() - begun < 1.0
    assert (message["say"], message["kind"], message["code"]) == ("event", "xid", 79)
    assert (message["uuid"], message["gpu_instance"]) == (stub.gpus[1].uuid, -1)


@pytest.mark.parametrize("how", ["request", "SIGTERM", "the end of stdin"])
def test_it_lets_go_of_the_driver(nvml_stub: Callable[..., Stub], start: Start, how: str) -> None:
    stub = nvml_stub(gpus=2)
    child = start(stub)
    child.sweep()
    if how == "request":
        child.ask(do="release")
    elif how == "SIGTERM":
        child.signal(signal.SIGTERM)
    else:
        assert child.process.stdin is not None
        child.process.stdin.close()
    assert child.farewell() == ("", RELEASED)
    assert stub.calls("nvmlShutdown") == stub.calls("nvmlInitWithFlags") == 1
    assert stub.calls("nvmlEventSetFree") == 1


def test_a_call_that_hangs_does_not_keep_it(nvml_stub: Callable[..., Stub], start: Start) -> None:
    stub = nvml_stub(gpus=2)
    child = start(stub)
    child.sweep()
    stub.gpus[0].hang("nvmlDeviceGetPowerUsage")
    child.ask(do="sweep", number=2, deadline=60.0)
    while not stub.blocked(gpu=0):
        time.sleep(0.005)
    begun = time.perf_counter()
    child.signal(signal.SIGTERM)  # in the middle of a sweep
    reason, status = child.farewell()
    assert time.perf_counter() - begun < 3.0
    assert reason == "calls that have not returned: nvmlDeviceGetPowerUsage"
    assert status == RELEASED


def test_ctrl_c_is_the_agents_business(nvml_stub: Callable[..., Stub], start: Start) -> None:
    child = start(nvml_stub(gpus=1))
    child.sweep()
    child.signal(signal.SIGINT)
    assert child.sweep()["state"] == "ready"


def test_an_upgrade_ends_it_after_a_sweep_that_says_so(nvml_stub: Callable[..., Stub], start: Start) -> None:
    stub = nvml_stub(gpus=1)
    child = start(stub)
    child.sweep()
    stub.upgrade("575.57.08")
    sweep = child.sweep()
    assert sweep["state"] == "failing"
    assert "of different versions (NVML 18)" in sweep["reason"]
    assert child.farewell()[1] == OUTDATED
    assert start(stub).sweep()["driver"] == "575.57.08"


def test_no_library_is_absent(nvml_stub: Callable[..., Stub]) -> None:
    child = Child({"LD_LIBRARY_PATH": ""})
    try:
        sweep = child.sweep()
        assert (sweep["state"], sweep["reason"], sweep["count"]) == ("absent", "NVML library not found", 0)
    finally:
        child.end()


def test_a_library_that_is_no_nvml(nvml_stub: Callable[..., Stub], start: Start) -> None:
    sweep = start(nvml_stub(gpus=1, wrong_library=True)).sweep()
    assert sweep["state"] == "failing"
    assert sweep["reason"].startswith("libnvidia-ml.so.1 is no NVML")


def test_a_request_that_is_none_is_complained_of_and_passed_over(
    nvml_stub: Callable[..., Stub], start: Start
) -> None:
    child = start(nvml_stub(gpus=1))
    for line in (b"what?\n", b"[]\n", b'{"do": "dance"}\n', b'{"do": "sweep"}\n', b"\xff\n"):
        child.write(line)
    assert child.sweep()["state"] == "ready"
    child.ask(do="release")
    child.farewell()
    assert child.complaint().count("probe: no request:") == 5


def test_arguments_that_it_does_not_know(nvml_stub: Callable[..., Stub], start: Start) -> None:
    child = start(nvml_stub(gpus=1), "--fast")
    assert child.process.wait(10) == USAGE
    assert child.complaint() == "probe: no argument is called '--fast'\n"


def test_it_loads_nothing_that_it_can_do_without() -> None:
    """A node without GPUs does not even load the bindings."""
    heavy = (
        "pynvml",
        "pydantic",
        "aiohttp",
        "asyncio",
        "yaml",
        "dataclasses",
        "inspect",
        "logging",
        "argparse",
    )
    code = f"""
import sys
import agent.gpu.probe.__main__, agent.gpu.families
print([name for name in {heavy} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
