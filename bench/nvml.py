"""What NVML's calls cost on a real GPU, and whether the probe reads what nvidia-smi reads.

    python -m bench.nvml [--calls 500]

Needs an NVIDIA driver. Prints the CPU and wall time of a sweep, of each reader and of calls that the probe
leaves out, what this GPU does not give and why, and a comparison with nvidia-smi.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from statistics import median
from typing import Any

from agent.gpu.probe.calls import BrokenLibrary, Calls, NoDriver, load
from agent.gpu.probe.readers import READERS
from agent.gpu.probe.sweep import Options, Probe
from agent.gpu.probe.target import Reader, Target
from agent.gpu.protocol import Sweep

# What nvidia-smi calls it, and how far the two may be apart: they do not read at the same moment.
SMI: Mapping[str, tuple[str, float]] = {
    "DCGM_FI_DEV_GPU_UTIL": ("utilization.gpu", 5),
    "DCGM_FI_DEV_MEM_COPY_UTIL": ("utilization.memory", 5),
    "DCGM_FI_DEV_ENC_UTIL": ("utilization.encoder", 5),
    "DCGM_FI_DEV_DEC_UTIL": ("utilization.decoder", 5),
    "DCGM_FI_DEV_FB_USED": ("memory.used", 2),
    "DCGM_FI_DEV_FB_FREE": ("memory.free", 2),
    "DCGM_FI_DEV_FB_RESERVED": ("memory.reserved", 2),
    "DCGM_FI_DEV_GPU_TEMP": ("temperature.gpu", 2),
    "DCGM_FI_DEV_GPU_TEMP_LIMIT": ("temperature.gpu.tlimit", 2),
    "DCGM_FI_DEV_MEMORY_TEMP": ("temperature.memory", 2),
    "DCGM_FI_DEV_POWER_USAGE": ("power.draw", 15),
    "DCGM_FI_DEV_POWER_MGMT_LIMIT": ("power.limit", 1),
    "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": ("enforced.power.limit", 1),
    "DCGM_FI_DEV_SM_CLOCK": ("clocks.sm", 200),
    "DCGM_FI_DEV_MEM_CLOCK": ("clocks.mem", 50),
    "DCGM_FI_DEV_MAX_SM_CLOCK": ("clocks.max.sm", 0),
    "DCGM_FI_DEV_MAX_MEM_CLOCK": ("clocks.max.mem", 0),
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS": ("clocks_event_reasons.active", 0),
    "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": ("ecc.errors.corrected.volatile.total", 0),
    "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": ("ecc.errors.uncorrected.volatile.total", 0),
    "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL": ("ecc.errors.corrected.aggregate.total", 0),
    "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL": ("ecc.errors.uncorrected.aggregate.total", 0),
    "DCGM_FI_DEV_RETIRED_SBE": ("retired_pages.single_bit_ecc.count", 0),
    "DCGM_FI_DEV_RETIRED_DBE": ("retired_pages.double_bit.count", 0),
    "DCGM_FI_DEV_PCIE_LINK_GEN": ("pcie.link.gen.current", 0),
    "DCGM_FI_DEV_PCIE_LINK_WIDTH": ("pcie.link.width.current", 0),
    "DCGM_FI_DEV_PCIE_MAX_LINK_GEN": ("pcie.link.gen.max", 0),
    "DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH": ("pcie.link.width.max", 0),
    "DCGM_FI_DEV_FAN_SPEED": ("fan.speed", 5),
}
ROWS: Mapping[str, tuple[str, float]] = {
    "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS": ("remapped_rows.correctable", 0),
    "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS": ("remapped_rows.uncorrectable", 0),
    "DCGM_FI_DEV_ROW_REMAP_PENDING": ("remapped_rows.pending", 0),
    "DCGM_FI_DEV_ROW_REMAP_FAILURE": ("remapped_rows.failure", 0),
}
DEADLINE = 10.0


def left_out(nvml: Any) -> Mapping[str, Callable[[Any], Any]]:
    """Calls that the probe does not make: each takes a handle."""
    return {
        "PCIe throughput, sent": lambda h: nvml.nvmlDeviceGetPcieThroughput(h, nvml.NVML_PCIE_UTIL_TX_BYTES),
        "energy as a field": lambda h: nvml.nvmlDeviceGetFieldValues(h, [83]),
        "violation, power, as a field": lambda h: nvml.nvmlDeviceGetFieldValues(h, [74]),
        "PCIe replays as a field": lambda h: nvml.nvmlDeviceGetFieldValues(h, [94]),
        "remapped rows as fields": lambda h: nvml.nvmlDeviceGetFieldValues(h, [142, 143, 144, 145]),
        "MIG mode": nvml.nvmlDeviceGetMigMode,
        "UUID": nvml.nvmlDeviceGetUUID,
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


def opened() -> Probe:
    """A probe in this process."""
    return Probe(Options(slow_interval=0.001), lambda occurrence: None)


def sweep(probe: Probe) -> Sweep:
    """Everything, the slow readings included."""
    time.sleep(0.002)
    return probe.sweep({"do": "sweep", "number": 0, "deadline": DEADLINE})


def compare(probe: Probe) -> int:
    """Print our readings beside nvidia-smi's; how many are further apart than they may."""
    found = sweep(probe)
    who = {identity["uuid"]: identity["index"] for identity in found["identities"]} or {
        device["uuid"]: number for number, device in enumerate(found["devices"])
    }
    ours = {who[device["uuid"]]: device["values"] for device in found["devices"]}
    return _apart(ours, SMI, "--query-gpu=index") + _apart(ours, ROWS, "--query-remapped-rows=gpu_uuid")


def _apart(ours: Mapping[int, Mapping[str, float]], queries: Mapping[str, tuple[str, float]], by: str) -> int:
    wrong = 0
    for number, cells in enumerate(_asked(by, [name for name, _ in queries.values()])):
        for (family, (name, most)), cell in zip(queries.items(), cells, strict=True):
            read, theirs = ours[number].get(family), _number(cell)
            # What nvidia-smi does not know we may still have from another call; never the other way.
            good = theirs is None or (read is not None and abs(read - theirs) <= most)
            wrong += not good
            mark = "" if good else "APART"
            print(f"  gpu {number} {family:42} {read!s:>12} nvidia-smi {name} {cell:>20} {mark}")
    return wrong


def _asked(by: str, names: Iterable[str]) -> list[list[str]]:
    """A row of cells a GPU, in the driver's order. Names that this nvidia-smi does not know are [N/A]."""
    columns = []
    for name in names:
        answer = subprocess.run(
            ["nvidia-smi", f"{by},{name}", "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            check=False,
        )
        known = answer.returncode == 0
        columns.append([line.split(", ")[1] if known else "[N/A]" for line in answer.stdout.splitlines()])
    rows = max(len(column) for column in columns)
    return [[column[row] if row < len(column) else "[N/A]" for column in columns] for row in range(rows)]


def _number(cell: str) -> float | None:
    word = {"No": "0", "Yes": "1"}.get(cell, cell)
    try:
        return float(int(word, 16)) if word.startswith("0x") else float(word)
    except ValueError:
        return None


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=500)
    calls = parser.parse_args().calls
    try:
        nvml = load()
    except (NoDriver, BrokenLibrary) as nothing:
        print(f"no GPU here: {nothing}")
        return 0
    probe = opened()
    first = sweep(probe)
    if not first["devices"]:
        print(f"no GPU here: {first['state']}, {first['reason']}")
        return 0
    print_costs(nvml, probe, calls)
    time.sleep(0.2)
    for device in sweep(probe)["devices"]:
        print(f"{device['uuid']} reads {len(device['values'])} families, refused: {device['refused']}")
    for name, reason in sorted(first["devices"][0].get("missing", {}).items()):
        print(f"  missing {name}: {reason}")
    print("against nvidia-smi:")
    wrong = compare(probe)
    probe.release()
    return 1 if wrong else 0


def print_costs(nvml: Any, probe: Probe, calls: int) -> None:
    """One line a call."""
    handle = nvml.nvmlDeviceGetHandleByIndex(0)
    target = Target(Calls(nvml), handle)
    print(
        f"{nvml.nvmlDeviceGetName(handle)}, driver {nvml.nvmlSystemGetDriverVersion()}, "
        f"{nvml.nvmlDeviceGetCount()} GPUs, {calls} calls each: CPU us, wall us (median, worst)"
    )
    timed: dict[str, Callable[[], Any]] = {"sweep of all GPUs, slow readings too": lambda: sweep(probe)}
    timed |= {_named(reader): _timed(reader, target) for reader in READERS}
    for name, call in left_out(nvml).items():
        timed[f"left out: {name}"] = partial(call, handle)
    for name, ready in timed.items():
        try:
            print("  {:62} {:9.1f} {:9.1f} {:9.1f}".format(name, *cost(ready, calls)))
        except Exception as error:  # what this GPU or binding does not have is an answer too
            print(f"  {name:62} {type(error).__name__}: {error}")


def _named(reader: Reader) -> str:
    names = [family.name.removeprefix("DCGM_FI_") for family in reader.families[:2]]
    more = f" +{len(reader.families) - 2}" if len(reader.families) > 2 else ""
    return f"{'slow' if reader.slow else 'fast'}: {', '.join(names) or 'processes'}{more}"


def _timed(reader: Reader, target: Target) -> Callable[[], Any]:
    def call() -> None:
        target.now += 1.0  # so that rates and samples are made each time
        target.parts, target.processes = [], []
        reader.read(target)

    return call


if __name__ == "__main__":
    sys.exit(main())
