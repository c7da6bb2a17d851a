"""For how long the clocks were held down, by cause. Each counter costs the driver half a millisecond."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from agent.gpu.probe.family import Family, counter, metrics
from agent.gpu.probe.target import Reader, Target


def _family(name: str, cause: str) -> Family:
    return counter(f"DCGM_FI_DEV_{name}_VIOLATION", f"Throttling duration due to {cause} (in ns).")


# In the order of nvmlPerfPolicyType_t.
VIOLATIONS = (
    _family("POWER", "power constraints"),
    _family("THERMAL", "thermal constraints"),
    _family("SYNC_BOOST", "sync-boost constraints"),
    _family("BOARD_LIMIT", "board limit constraints"),
    _family("LOW_UTIL", "low utilization"),
    _family("RELIABILITY", "reliability constraints"),
)
METRICS = metrics(*VIOLATIONS)


def _violation(policy: int, name: str, target: Target) -> Mapping[str, float]:
    return {name: target.nvml.nvmlDeviceGetViolationStatus(target.handle, policy).violationTime}


READERS = tuple(
    Reader((family,), partial(_violation, policy, family.name), slow=True)
    for policy, family in enumerate(VIOLATIONS)
)
