"""Power, its limits, and energy."""

from __future__ import annotations

from agent.gpu.probe.family import counter, gauge, metrics
from agent.gpu.probe.target import one

_MOST_WATTS = 10_000
_MILLI = 1000.0

POWER_USAGE = gauge("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", _MOST_WATTS)
ENERGY = counter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "Total energy consumption since boot (in mJ).")
POWER_LIMIT = gauge("DCGM_FI_DEV_POWER_MGMT_LIMIT", "Power limit that was set (in W).", _MOST_WATTS)
ENFORCED_LIMIT = gauge(
    "DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "Lowest of all power limits on the GPU (in W).", _MOST_WATTS
)
METRICS = metrics(POWER_USAGE, ENERGY, POWER_LIMIT, ENFORCED_LIMIT)

READERS = (
    one(POWER_USAGE, "nvmlDeviceGetPowerUsage", scale=_MILLI),
    one(ENERGY, "nvmlDeviceGetTotalEnergyConsumption", slow=True),
    one(POWER_LIMIT, "nvmlDeviceGetPowerManagementLimit", slow=True, scale=_MILLI),
    one(ENFORCED_LIMIT, "nvmlDeviceGetEnforcedPowerLimit", slow=True, scale=_MILLI),
)
