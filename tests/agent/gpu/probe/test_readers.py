"""Units, versions and absences of what a device is asked, over a driver of plain Python."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from agent.gpu.protocol import DeviceReport

if TYPE_CHECKING:
    from tests.agent.gpu.probe.conftest import Bench, FakeGpu, FakeNvml


@pytest.fixture
def gpu(nvml: FakeNvml) -> FakeGpu:
    return nvml.gpus[0]


@pytest.fixture
def ask(bench: Bench) -> Callable[[], DeviceReport]:
    return lambda: bench.sweep()["devices"][0]


Ask = Callable[[], DeviceReport]


def missing(report: DeviceReport) -> dict[str, str]:
    return report.get("missing", {})


def test_memory_is_in_whole_mib(ask: Ask) -> None:
    values = ask()["values"]
    assert values["DCGM_FI_DEV_FB_USED"] == 70_000
    assert values["DCGM_FI_DEV_FB_FREE"] == 10_000
    assert values["DCGM_FI_DEV_FB_RESERVED"] == 600


@pytest.mark.parametrize("code", [13, 25])
def test_memory_of_an_old_driver_has_no_reserved(nvml: FakeNvml, gpu: FakeGpu, ask: Ask, code: int) -> None:
    def memory(version: int | None = None) -> Any:
        if version:
            raise type(nvml).NVMLError(code)
        return SimpleNamespace(used=70_600 << 20, free=10_000 << 20)

    gpu.answers["nvmlDeviceGetMemoryInfo"] = memory
    report = ask()
    assert report["values"]["DCGM_FI_DEV_FB_USED"] == 70_600
    assert "DCGM_FI_DEV_FB_RESERVED" not in report["values"]
    assert missing(report)["DCGM_FI_DEV_FB_RESERVED"] == "this driver counts it as used"
    ask()
    assert gpu.asked["nvmlDeviceGetMemoryInfo"] == 3, "version 2 is tried once"


def test_power_is_in_watts_and_energy_in_millijoules(gpu: FakeGpu, ask: Ask) -> None:
    gpu.answers["nvmlDeviceGetPowerManagementLimit"] = 700_000
    values = ask()["values"]
    assert values["DCGM_FI_DEV_POWER_USAGE"] == 350.5
    assert values["DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"] == 123_456_789
    assert values["DCGM_FI_DEV_POWER_MGMT_LIMIT"] == 700


def test_remapped_rows_come_in_the_drivers_order(gpu: FakeGpu, ask: Ask) -> None:
    gpu.answers["nvmlDeviceGetRemappedRows"] = (5, 2, 1, 0)
    values = ask()["values"]
    assert values["DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS"] == 5
    assert values["DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"] == 2
    assert values["DCGM_FI_DEV_ROW_REMAP_PENDING"] == 1
    assert values["DCGM_FI_DEV_ROW_REMAP_FAILURE"] == 0


def test_clock_reasons_of_an_old_driver_go_by_their_old_name(nvml: FakeNvml, gpu: FakeGpu, ask: Ask) -> None:
    gpu.answers["nvmlDeviceGetCurrentClocksEventReasons"] = type(nvml).NVMLError(13)
    gpu.answers["nvmlDeviceGetCurrentClocksThrottleReasons"] = 0x48
    values = ask()["values"]
    assert values["DCGM_FI_DEV_CLOCKS_EVENT_REASONS"] == 0x48
    assert values["DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"] == 0x48
    ask()
    assert gpu.asked["nvmlDeviceGetCurrentClocksEventReasons"] == 1


def test_a_call_that_the_bindings_lack_is_missing(nvml: FakeNvml, ask: Ask) -> None:
    nvml.lacks.add("nvmlDeviceGetMarginTemperature")
    assert missing(ask())["DCGM_FI_DEV_GPU_TEMP_LIMIT"] == "not in this driver's library (NVML 13)"


def test_what_is_no_vgpu_has_license_status_0(ask: Ask) -> None:
    assert ask()["values"]["DCGM_FI_DEV_VGPU_LICENSE_STATUS"] == 0


def test_a_licensed_vgpu(gpu: FakeGpu, ask: Ask) -> None:
    gpu.answers["nvmlDeviceGetGridLicensableFeatures_v4"] = SimpleNamespace(
        isGridLicenseSupported=1,
        licensableFeaturesCount=1,
        gridLicensableFeatures=[SimpleNamespace(featureState=1), SimpleNamespace(featureState=0)],
    )
    assert ask()["values"]["DCGM_FI_DEV_VGPU_LICENSE_STATUS"] == 1


def test_a_gpu_without_nvlink_says_so(ask: Ask) -> None:
    reasons = missing(ask())
    assert reasons["fleetowl_gpu_nvlink_up"] == "no NVLink"
    assert reasons["DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL"] == "no NVLink"
    assert "no proven unit" in reasons["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"]


def test_nvlink_totals_and_states(gpu: FakeGpu, ask: Ask) -> None:
    gpu.fields = {91: ("uiVal", 2), 38: ("ullVal", 7), 138: ("ullVal", 3), 139: ("ullVal", 4)}
    gpu.answers["nvmlDeviceGetNvLinkState"] = lambda link: [1, 0][link]
    gpu.answers["nvmlDeviceGetNvLinkErrorCounter"] = lambda link, counter: 10 * counter + link
    report = ask()
    values = report["values"]
    assert [part for part in report["parts"] if part[0] == "fleetowl_gpu_nvlink_up"] == [
        ("fleetowl_gpu_nvlink_up", {"nvlink": "0"}, 1),
        ("fleetowl_gpu_nvlink_up", {"nvlink": "1"}, 0),
    ]
    assert values["fleetowl_gpu_nvlink_transmitted_bytes_total"] == 3072
    assert values["fleetowl_gpu_nvlink_received_bytes_total"] == 4096
    assert values["DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL"] == 7
    # The device gives no totals of these: the sum over the links that are up.
    assert values["DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL"] == 30
    assert values["DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL"] == 0
    assert values["DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL"] == 10
    assert "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL" not in missing(report)


def test_pcie_bytes_without_gpm_are_rates_of_counters(bench: Bench, gpu: FakeGpu, ask: Ask) -> None:
    tx, rx = "DCGM_FI_PROF_PCIE_TX_BYTES", "DCGM_FI_PROF_PCIE_RX_BYTES"
    gpu.fields = {197: ("ullVal", 1000), 198: ("ullVal", 500)}
    assert tx not in ask()["values"]
    bench.now += 2
    gpu.fields = {197: ("ullVal", 5000), 198: ("ullVal", 400)}
    values = ask()["values"]
    assert values[tx] == 2000
    assert rx not in values, "the counter began anew"
    bench.now += 1
    gpu.fields = {197: ("ullVal", 5000), 198: ("ullVal", 500)}
    values = ask()["values"]
    assert (values[tx], values[rx]) == (0, 100)


def test_the_call_that_samples_for_20_ms_is_never_made(nvml: FakeNvml, bench: Bench, gpu: FakeGpu) -> None:
    for _ in range(3):
        bench.now += 31
        bench.sweep()
    assert gpu.asked["nvmlDeviceGetPcieThroughput"] == 0


class FakeGpm:
    """The GPM calls of a Hopper GPU: sample n says that everything was at n %, PCIe at n MiB/s."""

    def __init__(self, nvml: FakeNvml, gpu: FakeGpu) -> None:
        self.taken = 0
        self.freed = 0
        gpu.answers["nvmlGpmQueryDeviceSupport"] = SimpleNamespace(isSupportedDevice=1)
        gpu.answers["nvmlGpmSampleGet"] = self.take
        own: Any = nvml
        own.nvmlGpmSampleAlloc = lambda: {"number": 0}
        own.nvmlGpmSampleFree = self.free
        own.nvmlGpmMetricsGet = self.compare
        own.c_nvmlGpmMetricsGet_t = lambda: SimpleNamespace(
            metrics=[SimpleNamespace(metricId=0, nvmlReturn=0, value=0.0) for _ in range(20)]
        )
        self.scale = 10.0

    def free(self, sample: object) -> None:
        self.freed += 1

    def take(self, sample: dict[str, int]) -> None:
        self.taken += 1
        sample["number"] = self.taken

    def compare(self, answer: Any) -> None:
        assert answer.version == 1
        assert answer.sample2["number"] == answer.sample1["number"] + 1, "the older sample first"
        for metric in answer.metrics[: answer.numMetrics]:
            metric.value = self.scale * answer.sample2["number"]
            metric.nvmlReturn = 3 if metric.metricId == 11 else 0


def test_profiling_compares_two_samples(bench: Bench, nvml: FakeNvml, gpu: FakeGpu, ask: Ask) -> None:
    gpm = FakeGpm(nvml, gpu)
    first = ask()
    assert missing(first)["DCGM_FI_PROF_SM_ACTIVE"] == "GPM compares two samples and has one"
    bench.now += 1
    report = ask()
    assert report["values"]["DCGM_FI_PROF_SM_ACTIVE"] == 0.2
    assert report["values"]["DCGM_FI_PROF_PCIE_TX_BYTES"] == 20 << 20
    assert missing(report)["DCGM_FI_PROF_PIPE_FP64_ACTIVE"] == "not supported by this device (NVML 3)"
    assert "DCGM_FI_PROF_SM_ACTIVE" not in missing(report)
    bench.now += 0.01
    assert ask()["values"]["DCGM_FI_PROF_SM_ACTIVE"] == 0.2, "too early for another sample"
    assert gpm.taken == 2


@pytest.mark.parametrize(("scale", "ratio"), [(51.0, 1.0), (80.0, None)])
def test_a_ratio_is_at_most_1(
    bench: Bench, nvml: FakeNvml, gpu: FakeGpu, ask: Ask, scale: float, ratio: float | None
) -> None:
    FakeGpm(nvml, gpu).scale = scale
    ask()
    bench.now += 1
    assert ask()["values"].get("DCGM_FI_PROF_SM_ACTIVE") == ratio


def test_samples_are_given_back_when_the_gpu_is_found_anew(
    bench: Bench, nvml: FakeNvml, gpu: FakeGpu, ask: Ask
) -> None:
    gpm = FakeGpm(nvml, gpu)
    ask()
    gpu.error = 15
    ask()
    gpu.error = 0
    ask()
    assert gpm.freed == 2


def test_a_gpu_before_hopper_has_no_profiling(ask: Ask) -> None:
    reason = "this GPU has no GPM counters (they came with Hopper)"
    assert missing(ask())["DCGM_FI_PROF_GR_ENGINE_ACTIVE"] == reason


def _process(pid: int, memory: int | None) -> SimpleNamespace:
    return SimpleNamespace(pid=pid, usedGpuMemory=memory)


def test_processes_of_all_kinds(nvml: FakeNvml, gpu: FakeGpu, ask: Ask) -> None:
    gpu.answers["nvmlDeviceGetComputeRunningProcesses_v3"] = [_process(10, 5 << 30), _process(11, None)]
    gpu.answers["nvmlDeviceGetMPSComputeRunningProcesses_v3"] = [_process(11, 7)]
    gpu.answers["nvmlDeviceGetGraphicsRunningProcesses_v3"] = [_process(404, 9)]
    expected = [
        {"pid": 404, "kind": "graphics", "bytes": 9, "name": ""},
        {"pid": 10, "kind": "compute", "bytes": 5 << 30, "name": "process 10"},
        {"pid": 11, "kind": "mps", "bytes": 7, "name": "process 11"},
    ]
    assert ask()["processes"] == expected
    assert ask()["processes"] == expected
    assert nvml.asked["nvmlSystemGetProcessName"] == 3, "a name is asked for once"


def test_memory_of_a_process_that_is_not_told_is_minus_1(gpu: FakeGpu, ask: Ask) -> None:
    gpu.answers["nvmlDeviceGetComputeRunningProcesses_v3"] = [_process(10, None)]
    assert ask()["processes"][0]["bytes"] == -1


def test_an_old_driver_has_version_2_of_the_process_lists(nvml: FakeNvml, gpu: FakeGpu, ask: Ask) -> None:
    gpu.answers["nvmlDeviceGetComputeRunningProcesses_v3"] = type(nvml).NVMLError(13)
    gpu.answers["nvmlDeviceGetComputeRunningProcesses_v2"] = [_process(10, 1)]
    assert ask()["processes"][0]["pid"] == 10
    ask()
    assert gpu.asked["nvmlDeviceGetComputeRunningProcesses_v3"] == 1


def test_a_device_that_lists_no_processes_says_so(ask: Ask) -> None:
    reason = "this device does not list its processes"
    assert missing(ask())["fleetowl_gpu_process_memory_bytes"] == reason


def test_processes_can_be_left_out(make: Callable[..., Bench], nvml: FakeNvml, gpu: FakeGpu) -> None:
    gpu.answers["nvmlDeviceGetComputeRunningProcesses_v3"] = [_process(10, 1)]
    assert make(nvml, processes=False).sweep()["devices"][0]["processes"] == []
    assert gpu.asked["nvmlDeviceGetComputeRunningProcesses_v3"] == 0
