"""What the probe's process costs, read from procfs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agent.host import labelled
from model.metric import Metric, Sample

METRICS = (
    Metric("fleetowl_probe_cpu_seconds_total", "counter", "CPU time that the GPU probe has used."),
    Metric("fleetowl_probe_resident_memory_bytes", "gauge", "Memory that the GPU probe holds."),
)


def cost_of(pid: int) -> Iterator[Sample]:
    """CPU and memory of a process of our own; nothing if it is gone.

    From /proc and not from the host's procfs of the settings: it is our child, in our namespace of processes.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the program's name in parentheses, which may hold anything.
            fields = file.read().rpartition(b")")[2].split()
        ticks, pages = int(fields[11]) + int(fields[12]), int(fields[21])
    except (OSError, ValueError, IndexError):
        return
    yield Sample("fleetowl_probe_cpu_seconds_total", labelled(), ticks / os.sysconf("SC_CLK_TCK"))
    resident = pages * os.sysconf("SC_PAGE_SIZE")
    yield Sample("fleetowl_probe_resident_memory_bytes", labelled(), float(resident))
