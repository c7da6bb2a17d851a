"""The processes that have memory of a GPU or a MIG instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from agent.gpu.probe.calls import text
from agent.gpu.probe.errors import FUNCTION_NOT_FOUND, LACKING
from agent.gpu.probe.target import Reader, Target
from agent.gpu.protocol import Process

_Kind = Literal["compute", "graphics", "mps"]
# The later wins: an MPS client is listed as a compute process too.
_LISTS: tuple[tuple[_Kind, str], ...] = (
    ("graphics", "nvmlDeviceGetGraphicsRunningProcesses"),
    ("compute", "nvmlDeviceGetComputeRunningProcesses"),
    ("mps", "nvmlDeviceGetMPSComputeRunningProcesses"),
)
KEY = "fleetowl_gpu_process_memory_bytes"
"""The family that the agent makes of them, for noting why there are none."""


def _processes(target: Target) -> Mapping[str, float]:
    if target.mig:
        return {}  # its instances list them
    found: dict[int, Process] = {}
    lacks = 0
    for kind, call in _LISTS:
        try:
            listed = _listed(target, call)
        except target.nvml.NVMLError as error:
            if error.value not in LACKING:
                raise
            lacks += 1
            continue
        for process in listed:
            memory = process.usedGpuMemory
            found[process.pid] = {
                "pid": process.pid,
                "kind": kind,
                "bytes": -1 if memory is None else memory,
                "name": "",
            }
    if lacks == len(_LISTS):
        target.missing[KEY] = "this device does not list its processes"
    _name(target, found)
    target.processes += found.values()
    return {}


def _listed(target: Target, call: str) -> list[Any]:
    """Drivers before 510 have version 2 of these calls only."""
    version = target.kept.get(call, "_v3")
    try:
        return list(getattr(target.nvml, call + version)(target.handle))
    except target.nvml.NVMLError as error:
        if error.value != FUNCTION_NOT_FOUND or version == "_v2":
            raise
        target.kept[call] = "_v2"
        return _listed(target, call)


def _name(target: Target, found: dict[int, Process]) -> None:
    """The driver reads a name from procfs, so a process is asked for once."""
    known: dict[int, str] = target.kept.get("names", {})
    names: dict[int, str] = {}
    for pid, process in found.items():
        if pid not in known:
            try:
                known[pid] = text(target.nvml.nvmlSystemGetProcessName(pid))
            except target.nvml.NVMLError:
                known[pid] = ""  # of another PID namespace, or just gone
        names[pid] = process["name"] = known[pid]
    target.kept["names"] = names


READERS = (Reader((), _processes, instances=True),)
