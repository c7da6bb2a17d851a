"""The fan, of cards that have one."""

from __future__ import annotations

from agent.gpu.probe.family import gauge, metrics
from agent.gpu.probe.target import one

# NVML: "may exceed 100% in certain cases".
FAN_SPEED = gauge("DCGM_FI_DEV_FAN_SPEED", "Intended fan speed, of the highest (in %).", 200)
METRICS = metrics(FAN_SPEED)
READERS = (one(FAN_SPEED, "nvmlDeviceGetFanSpeed", slow=True),)
