"""What a device is asked: one module a concern, each with the families that it reads (METRICS)."""

from __future__ import annotations

from agent.gpu.probe.readers import (
    clocks,
    ecc,
    fan,
    license,
    memory,
    nvlink,
    pcie,
    power,
    processes,
    profiling,
    recovery,
    remap,
    thermal,
    utilization,
    violations,
)
from agent.gpu.probe.target import Reader

READERS: tuple[Reader, ...] = (
    *utilization.READERS,
    *memory.READERS,
    *thermal.READERS,
    *power.READERS,
    *clocks.READERS,
    *ecc.READERS,
    *remap.READERS,
    *recovery.READERS,
    *profiling.READERS,
    *processes.READERS,
    *pcie.READERS,
    *violations.READERS,
    *nvlink.READERS,
    *fan.READERS,
    *license.READERS,
)
"""In the order in which a device is asked."""

FAMILIES = tuple(dict.fromkeys(family for reader in READERS for family in reader.families))
METRICS = tuple(family.metric for family in FAMILIES)
