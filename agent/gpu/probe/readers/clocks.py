"""Clocks, and why they are not higher."""

from __future__ import annotations

from collections.abc import Mapping

from agent.gpu.probe.errors import FUNCTION_NOT_FOUND
from agent.gpu.probe.family import gauge, metrics
from agent.gpu.probe.target import Reader, Target, one

_SM, _MEMORY = 1, 2  # nvmlClockType_t
_FASTEST_SM, _FASTEST_MEMORY = 20_000, 50_000
_ALL_REASONS = (1 << 16) - 1  # eleven bits are in use

SM_CLOCK = gauge("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", _FASTEST_SM)
MEM_CLOCK = gauge("DCGM_FI_DEV_MEM_CLOCK", "Memory clock frequency (in MHz).", _FASTEST_MEMORY)
MAX_SM_CLOCK = gauge("DCGM_FI_DEV_MAX_SM_CLOCK", "Highest SM clock frequency (in MHz).", _FASTEST_SM)
MAX_MEM_CLOCK = gauge("DCGM_FI_DEV_MAX_MEM_CLOCK", "Highest memory frequency (in MHz).", _FASTEST_MEMORY)
EVENT_REASONS = gauge(
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
    "Why the clocks are not higher, as bits: 1 idle, 2 set, 4 software power cap, 8 hardware slowdown, "
    "16 sync boost, 32 software thermal, 64 hardware thermal, 128 power brake, 256 display.",
    _ALL_REASONS,
)
THROTTLE_REASONS = gauge(
    "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS",
    "DCGM_FI_DEV_CLOCKS_EVENT_REASONS by its older name.",
    _ALL_REASONS,
)
METRICS = metrics(SM_CLOCK, MEM_CLOCK, MAX_SM_CLOCK, MAX_MEM_CLOCK, EVENT_REASONS, THROTTLE_REASONS)


def _reasons(target: Target) -> Mapping[str, float]:
    """Drivers before 535 know the call by its older name only."""
    if "throttle" not in target.kept:
        try:
            return _both(target.nvml.nvmlDeviceGetCurrentClocksEventReasons(target.handle))
        except target.nvml.NVMLError as error:
            if error.value != FUNCTION_NOT_FOUND:
                raise
            target.kept["throttle"] = True
    return _both(target.nvml.nvmlDeviceGetCurrentClocksThrottleReasons(target.handle))


def _both(reasons: int) -> dict[str, float]:
    return {EVENT_REASONS.name: reasons, THROTTLE_REASONS.name: reasons}


READERS = (
    one(SM_CLOCK, "nvmlDeviceGetClockInfo", _SM),
    one(MEM_CLOCK, "nvmlDeviceGetClockInfo", _MEMORY),
    Reader((EVENT_REASONS, THROTTLE_REASONS), _reasons),
    one(MAX_SM_CLOCK, "nvmlDeviceGetMaxClockInfo", _SM, slow=True),
    one(MAX_MEM_CLOCK, "nvmlDeviceGetMaxClockInfo", _MEMORY, slow=True),
)
