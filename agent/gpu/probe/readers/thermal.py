"""Temperatures, and where the device slows down or shuts itself off."""

from __future__ import annotations

from collections.abc import Mapping

from agent.gpu.probe.family import gauge, metrics
from agent.gpu.probe.target import Reader, Target, one

_HOTTEST = 200
_MEMORY_TEMP_FIELD = 82
_SHUTDOWN_TLIMIT_FIELD, _SLOWDOWN_TLIMIT_FIELD = 193, 194
_SHUTDOWN, _SLOWDOWN, _MEMORY_MAX, _GPU_MAX = 0, 1, 2, 3  # nvmlTemperatureThresholds_t

GPU_TEMP = gauge("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", _HOTTEST)
MEMORY_TEMP = gauge("DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C).", _HOTTEST)
MARGIN = gauge(
    "DCGM_FI_DEV_GPU_TEMP_LIMIT",
    "Distance of the GPU to the nearest temperature at which it slows down (in C).",
    _HOTTEST,
    -_HOTTEST,
)
SLOWDOWN = gauge("DCGM_FI_DEV_SLOWDOWN_TEMP", "Temperature at which the GPU slows down (in C).", _HOTTEST)
SHUTDOWN = gauge("DCGM_FI_DEV_SHUTDOWN_TEMP", "Temperature at which the GPU shuts down (in C).", _HOTTEST)
MEMORY_MAX = gauge("DCGM_FI_DEV_MEM_MAX_OP_TEMP", "Highest temperature for the memory (in C).", _HOTTEST)
GPU_MAX = gauge("DCGM_FI_DEV_GPU_MAX_OP_TEMP", "Highest temperature for the GPU (in C).", _HOTTEST)
SLOWDOWN_MARGIN = gauge(
    "fleetowl_gpu_slowdown_margin_celsius",
    "The margin (DCGM_FI_DEV_GPU_TEMP_LIMIT) below which the hardware slows the GPU down.",
    _HOTTEST,
    -_HOTTEST,
)
SHUTDOWN_MARGIN = gauge(
    "fleetowl_gpu_shutdown_margin_celsius",
    "The margin (DCGM_FI_DEV_GPU_TEMP_LIMIT) below which the GPU shuts down.",
    _HOTTEST,
    -_HOTTEST,
)
_THRESHOLDS = ((SHUTDOWN, _SHUTDOWN), (SLOWDOWN, _SLOWDOWN), (MEMORY_MAX, _MEMORY_MAX), (GPU_MAX, _GPU_MAX))
METRICS = metrics(
    GPU_TEMP,
    MEMORY_TEMP,
    MARGIN,
    SLOWDOWN,
    SHUTDOWN,
    MEMORY_MAX,
    GPU_MAX,
    SLOWDOWN_MARGIN,
    SHUTDOWN_MARGIN,
)


def _memory_temperature(target: Target) -> Mapping[str, float]:
    return target.field_values([(MEMORY_TEMP.name, _MEMORY_TEMP_FIELD, 0)])


def _margins(target: Target) -> Mapping[str, float]:
    values = target.field_values(
        [(SLOWDOWN_MARGIN.name, _SLOWDOWN_TLIMIT_FIELD, 0), (SHUTDOWN_MARGIN.name, _SHUTDOWN_TLIMIT_FIELD, 0)]
    )
    return {name: signed(value) for name, value in values.items()}


def signed(value: float) -> float:
    """Drivers call -8 an unsigned 4294967288."""
    return value - 2**32 if 2**31 <= value < 2**32 else value


READERS = (
    one(GPU_TEMP, "nvmlDeviceGetTemperature", 0),
    Reader((MEMORY_TEMP,), _memory_temperature),
    one(MARGIN, "nvmlDeviceGetMarginTemperature", slow=True),
    *(
        one(family, "nvmlDeviceGetTemperatureThreshold", threshold, slow=True)
        for family, threshold in _THRESHOLDS
    ),
    Reader((SLOWDOWN_MARGIN, SHUTDOWN_MARGIN), _margins, slow=True),
)
