"""The unmodified nvidia-ml-py asks the stub driver everything that it answers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pynvml
import pytest

from simulator.nvml.stub import Stub
from simulator.nvml.symbols import CALLS

MakeStub = Callable[..., Stub]
Ask = Callable[..., Any]


def test_who_the_gpus_are(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=2, profile="h100")
    asker = ask(
        stub,
        """
        n.nvmlInit()
        first, second = (n.nvmlDeviceGetHandleByIndex(i) for i in range(n.nvmlDeviceGetCount()))
        again = n.nvmlDeviceGetHandleByUUID(n.nvmlDeviceGetUUID(second))
        by_bus = n.nvmlDeviceGetHandleByPciBusId(n.nvmlDeviceGetPciInfo(second).busId)
        say([n.nvmlDeviceGetUUID(first), n.nvmlDeviceGetUUID(again), n.nvmlDeviceGetIndex(by_bus)])
        say([n.nvmlDeviceGetName(first), n.nvmlDeviceGetPciInfo(first).busId])
        say(n.nvmlDeviceGetMinorNumber(second))
        say([n.nvmlSystemGetDriverVersion(), n.nvmlSystemGetNVMLVersion()])
        say(n.nvmlSystemGetCudaDriverVersion())
        say([code_of(n.nvmlDeviceGetHandleByIndex, 2), code_of(n.nvmlDeviceGetHandleByUUID, "GPU-none")])
        """,
    )
    assert asker.heard() == [stub.gpus[0].uuid, stub.gpus[1].uuid, 1]
    assert asker.heard() == ["NVIDIA H100 80GB HBM3", stub.gpus[0].pci_bus_id]
    assert asker.heard() == 1
    assert asker.heard() == ["570.86.15", "12.570.86.15"]
    assert asker.heard() == 12080
    assert asker.heard() == [2, 6]


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("pci_info", pynvml.nvmlPciInfo_t),
        ("memory_v1", pynvml.c_nvmlMemory_t),
        ("utilization", pynvml.c_nvmlUtilization_t),
        ("violation", pynvml.c_nvmlViolationTime_t),
        ("ecc_counts", pynvml.c_nvmlEccErrorCounts_t),
        ("histogram", pynvml.c_nvmlRowRemapperHistogramValues),
        ("process_info", pynvml.c_nvmlProcessInfo_t),
        ("attributes", pynvml.c_nvmlDeviceAttributes),
        ("field_value", pynvml.c_nvmlFieldValue_t),
        ("event_data", pynvml.c_nvmlEventData_t),
        ("metric", pynvml.c_nvmlGpmMetric_t),
        ("metrics", pynvml.c_nvmlGpmMetricsGet_t),
        ("fabric", pynvml.c_nvmlGpuFabricInfo_t),
        ("licences", pynvml.c_nvmlGridLicensableFeatures_v4_t),
    ],
)
def test_structures_are_as_long_as_nvidias(nvml_stub: MakeStub, name: str, theirs: Any) -> None:
    """Of structures without a version number; the others are checked by the compiler."""
    library = ctypes.CDLL(str(nvml_stub(gpus=1).library))
    ours = ctypes.c_size_t.in_dll(library, f"fleetowl_stub_sizeof_{name}")
    assert ours.value == ctypes.sizeof(theirs)


def test_every_call_is_there_and_nvidia_ml_py_knows_it(nvml_stub: MakeStub) -> None:
    library = ctypes.CDLL(str(nvml_stub(gpus=1).library))
    with open(pynvml.__file__) as source:
        known = source.read()
    only_c = {"nvmlInit", "nvmlInit_v2"}  # for programs that are not nvidia-ml-py
    assert [call for call in CALLS if not hasattr(library, call)] == []
    assert [call for call in CALLS if f'"{call}"' not in known and call not in only_c] == []


def test_a_busy_gpu(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1, load="busy")
    stub.gpus[0].set(
        temperature=71, power=612.5, memory_used=70 << 30, reasons=["sw_power_cap", "hw_thermal"]
    )
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        say([n.nvmlDeviceGetTemperature(h, 0), n.nvmlDeviceGetTemperatureV(h, 0)])
        say(n.nvmlDeviceGetMarginTemperature(h))
        say([n.nvmlDeviceGetPowerUsage(h), n.nvmlDeviceGetEnforcedPowerLimit(h)])
        new, old = n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2), n.nvmlDeviceGetMemoryInfo(h)
        say([new.used, new.free + new.used + new.reserved == new.total, old.used - new.used == new.reserved])
        say([n.nvmlDeviceGetCurrentClocksEventReasons(h), n.nvmlDeviceGetCurrentClocksThrottleReasons(h)])
        say([n.nvmlDeviceGetUtilizationRates(h).gpu, n.nvmlDeviceGetClockInfo(h, n.NVML_CLOCK_SM)])
        say(code_of(n.nvmlDeviceGetFanSpeed, h))
        """,
    )
    assert asker.heard() == [71, 71]
    assert asker.heard() == 87 - 71
    assert asker.heard() == [612500, 700000]
    assert asker.heard() == [70 << 30, True, True]
    assert asker.heard() == [0x44, 0x44]
    assert asker.heard() == [97, 1755]
    assert asker.heard() == 3


def test_health(nvml_stub: MakeStub, ask: Ask) -> None:
    stub = nvml_stub(gpus=1, stepped=True)
    stub.gpus[0].set(ecc_sbe_rate=17_700, remapped_uncorrectable=2, remap_pending=1, retired_double=3)
    stub.gpus[0].set(sram_dbe=4, recovery_action=1)
    asker = ask(
        stub,
        """
        n.nvmlInit()
        h = n.nvmlDeviceGetHandleByIndex(0)
        wait()
        say([n.nvmlDeviceGetTotalEccErrors(h, 0, kept) for kept in (0, 1)])
        say([n.nvmlDeviceGetMemoryErrorCounter(h, kind, 0, place) for kind in (0, 1) for place in (2, 7)])
        say(n.nvmlDeviceGetRemappedRows(h))
        say([n.nvmlDeviceGetRetiredPages(h, 1), len(n.nvmlDeviceGetRetiredPages_v2(h, 0))])
        status = n.c_nvmlEccSramErrorStatus_v1_t()
        n.nvmlDeviceGetSramEccErrorStatus(h, n.byref(status))
        say([status.volatileUncSecDed, status.aggregateUncSecDed, status.aggregateUncBucketSm])
        say([n.nvmlDeviceGetRowRemapperHistogram(h).max, n.nvmlDeviceGetRepairStatus(h)])
        values = n.nvmlDeviceGetFieldValues(h, [230, 30, 143, 144, 3, 9])
        say([(v.nvmlReturn, v.value.ullVal) for v in values])
        """,
    )
    stub.step(10)
    asker.go()
    assert asker.heard() == [177_000, 177_000]
    assert asker.heard() == [177_000, 0, 0, 4]
    assert asker.heard() == [0, 2, 1, 0]
    assert asker.heard() == [[0x1000, 0x2000, 0x3000], 0]
    assert asker.heard() == [4, 4, 4]
    assert asker.heard() == [2560, [0, 0]]
    assert asker.heard() == [[0, 1], [0, 3], [0, 2], [0, 1], [0, 177_000], [3, 0]]
