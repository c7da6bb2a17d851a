"""What NVML's calls cost on a real GPU, and whether the collector reads what nvidia-smi reads.

    python -m bench.nvml [--calls 500]

Needs an NVIDIA driver. Prints the CPU and wall time of a sweep, of each reader and of further calls that an
exporter could make, and a comparison with nvidia-smi.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from agent.nvml import _READERS, Driver, NoGPU, load_nvml

# What nvidia-smi calls it, and how far the two may be apart: they do not read at the same moment.
SMI = {
    "DCGM_FI_DEV_GPU_UTIL": ("utilization.gpu", 5),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("utilization.memory", 5),
    "DCGM_FI_DEV_FB_USED": ("memory.used", 2),
    "DCGM_FI_DEV_FB_FREE": ("memory.free", 2),
    "DCGM_FI_DEV_FB_RESERVED": ("memory.reserved", 2),
    "DCGM_FI_DEV_GPU_TEMP": ("temperature.gpu", 2),
    "DCGM_FI_DEV_POWER_USAGE": ("power.draw", 15),
    "DCGM_FI_DEV_SM_CLOCK": ("clocks.sm", 200),
    "DCGM_FI_DEV_MEM_CLOCK": ("clocks.mem", 50),
}


def further(nvml: Any) -> dict[str, Callable[[Any], Any]]:
    """Calls of collectors that are planned: each takes a handle."""
    fields = [
        getattr(nvml, name)
        for name in ("NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "NVML_FI_DEV_PCIE_REPLAY_COUNTER")
        if hasattr(nvml, name)
    ]
    return {
        "total energy": nvml.nvmlDeviceGetTotalEnergyConsumption,
        "ECC, uncorrected, since boot": lambda h: nvml.nvmlDeviceGetTotalEccErrors(
            h, nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, nvml.NVML_VOLATILE_ECC
        ),
        "remapped rows": nvml.nvmlDeviceGetRemappedRows,
        "throttle reasons": nvml.nvmlDeviceGetCurrentClocksThrottleReasons,
        "violation, power": lambda h: nvml.nvmlDeviceGetViolationStatus(h, nvml.NVML_PERF_POLICY_POWER),
        "PCIe throughput, sent": lambda h: nvml.nvmlDeviceGetPcieThroughput(h, nvml.NVML_PCIE_UTIL_TX_BYTES),
        "PCIe replays": nvml.nvmlDeviceGetPcieReplayCounter,
        "PCIe generation and width": lambda h: (
            nvml.nvmlDeviceGetCurrPcieLinkGeneration(h),
            nvml.nvmlDeviceGetCurrPcieLinkWidth(h),
        ),
        "compute processes": nvml.nvmlDeviceGetComputeRunningProcesses,
        "field values (2 in one call)": lambda h: nvml.nvmlDeviceGetFieldValues(h, fields),
        "memory temperature (field)": lambda h: nvml.nvmlDeviceGetFieldValues(
            h, [nvml.NVML_FI_DEV_MEMORY_TEMP]
        ),
        "NVLink state, link 0": lambda h: nvml.nvmlDeviceGetNvLinkState(h, 0),
        "MIG mode": nvml.nvmlDeviceGetMigMode,
        "GPM support": nvml.nvmlGpmQueryDeviceSupport,
    }


def cost(call: Callable[[], Any], calls: int) -> tuple[float, float, float]:
    """(CPU us a call, median wall us, worst wall us)."""
    walls = []
    begun = time.process_time()
    for _ in range(calls):
        before = time.perf_counter()
        call()
        walls.append(time.perf_counter() - before)
    return (time.process_time() - begun) / calls * 1e6, median(walls) * 1e6, max(walls) * 1e6


def compare(driver: Driver) -> int:
    """Print our readings beside nvidia-smi's; how many are further apart than they may."""
    query = ",".join(name for name, _ in SMI.values())
    answer = subprocess.run(
        ["nvidia-smi", f"--query-gpu=index,{query}", "--format=csv,noheader,nounits"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = {cells[0]: cells[1:] for line in answer.stdout.splitlines() if (cells := line.split(", "))}
    found = [sample for sample in driver.sweep() if sample.labels.get("gpu")]
    samples = {(sample.labels["gpu"], sample.name): sample.value for sample in found}
    wrong = 0
    for gpu, cells in rows.items():
        for (metric, (name, most)), cell in zip(SMI.items(), cells, strict=True):
            ours = samples.get((gpu, metric))
            known = cell.replace(".", "", 1).isdigit()
            good = ours is None if not known else ours is not None and abs(ours - float(cell)) <= most
            wrong += not good
            mark = "" if good else "APART"
            print(f"  gpu {gpu} {metric:28} {ours!s:>10} nvidia-smi {name} {cell:>10} {mark}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=500)
    calls = parser.parse_args().calls
    try:
        nvml = load_nvml()
        driver = Driver(nvml, "bench")
    except NoGPU as nothing:
        print(f"no GPU here: {nothing}")
        return 0
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    print(
        f"{nvml.nvmlDeviceGetName(handle)}, driver {nvml.nvmlSystemGetDriverVersion()}, "
        f"{nvml.nvmlDeviceGetCount()} GPUs, {calls} calls each: CPU us, wall us (median, worst)"
    )
    timed: dict[str, Callable[[], Any]] = {"sweep of all GPUs": driver.sweep}
    timed |= {reader.__name__.strip("_"): partial(reader, nvml, handle) for reader in _READERS}
    timed |= {f"further: {name}": partial(call, handle) for name, call in further(nvml).items()}
    for name, call in timed.items():
        try:
            print("  {:40} {:9.1f} {:9.1f} {:9.1f}".format(name, *cost(call, calls)))
        except Exception as error:  # what this GPU or binding does not have is an answer too
            print(f"  {name:40} {type(error).__name__}: {error}")
    print("against nvidia-smi:")
    wrong = compare(driver)
    driver.close()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
