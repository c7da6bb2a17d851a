"""Shares of time in which the parts of a GPU worked: the GPM counters of Hopper and later.

GPM compares two samples, so the first reading has none. What PCIe carries comes from there too, and elsewhere
from counters. nvmlDeviceGetPcieThroughput is never called: the driver samples for 20 ms in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from agent.gpu.probe.family import Family, gauge, metrics
from agent.gpu.probe.target import Reader, Target, lacking

_MIB = 1 << 20
_PERCENT = 100.0
_TOLERANCE = 1.05  # the samples of a ratio's two counters are some microseconds apart
_SHORTEST = 0.1  # seconds between two samples
_FASTEST = 1e12  # bytes a second
_TX_FIELD, _RX_FIELD = 197, 198
_NO_GPM = "this GPU has no GPM counters (they came with Hopper)"
_FIRST = "GPM compares two samples and has one"


def _ratio(name: str, text: str) -> Family:
    return gauge(f"DCGM_FI_PROF_{name}", text, 1)


GR_ENGINE = _ratio("GR_ENGINE_ACTIVE", "Ratio of time the graphics engine is active.")
SM = _ratio("SM_ACTIVE", "The ratio of cycles an SM has at least 1 warp assigned.")
OCCUPANCY = _ratio("SM_OCCUPANCY", "The ratio of number of warps resident on an SM.")
TENSOR = _ratio("PIPE_TENSOR_ACTIVE", "Ratio of cycles the tensor (HMMA) pipe is active.")
DRAM = _ratio(
    "DRAM_ACTIVE", "Ratio of cycles the device memory interface is active sending or receiving data."
)
FP64 = _ratio("PIPE_FP64_ACTIVE", "Ratio of cycles the fp64 pipes are active.")
FP32 = _ratio("PIPE_FP32_ACTIVE", "Ratio of cycles the fp32 pipes are active.")
FP16 = _ratio("PIPE_FP16_ACTIVE", "Ratio of cycles the fp16 pipes are active.")
_CARRIED = "over the PCIe bus - including both protocol headers and data payloads - in bytes per second."
PCIE_TX = gauge("DCGM_FI_PROF_PCIE_TX_BYTES", f"The rate of data transmitted {_CARRIED}", _FASTEST)
PCIE_RX = gauge("DCGM_FI_PROF_PCIE_RX_BYTES", f"The rate of data received {_CARRIED}", _FASTEST)
# By nvmlGpmMetricId_t.
_RATIOS = {1: GR_ENGINE, 2: SM, 3: OCCUPANCY, 5: TENSOR, 10: DRAM, 11: FP64, 12: FP32, 13: FP16}
_TRAFFIC = {20: PCIE_TX, 21: PCIE_RX}
_GPM = {**_RATIOS, **_TRAFFIC}
METRICS = metrics(*_GPM.values())


def _profile(target: Target) -> Mapping[str, float]:
    if "gpm" not in target.kept:
        target.kept["gpm"] = Samples(target) if _supported(target) else None
    samples: Samples | None = target.kept["gpm"]
    if samples is not None:
        return samples.next(target)
    target.missing.update(lacking(_RATIOS.values(), _NO_GPM))
    if target.parent is not None:
        target.missing.update(lacking(_TRAFFIC.values(), _NO_GPM))
        return {}
    return _counted(target)


def _supported(target: Target) -> bool:
    device = target.handle if target.parent is None else target.parent
    try:
        return bool(target.nvml.nvmlGpmQueryDeviceSupport(device).isSupportedDevice)
    except target.nvml.NVMLError:
        return False


class Samples:
    """The last sample and room for the next."""

    def __init__(self, target: Target) -> None:
        nvml = target.nvml
        self._old, self._new = nvml.nvmlGpmSampleAlloc(), nvml.nvmlGpmSampleAlloc()
        self._taken_at: float | None = None
        self._answer = nvml.c_nvmlGpmMetricsGet_t()
        self._answer.version = 1  # NVML_GPM_METRICS_GET_VERSION
        self._values: dict[str, float] = {}

    def next(self, target: Target) -> Mapping[str, float]:
        """What has happened since the last sample. Raises NVMLError."""
        if self._taken_at is not None and target.now - self._taken_at < _SHORTEST:
            return self._values
        if target.parent is None:
            target.nvml.nvmlGpmSampleGet(target.handle, self._new)
        else:
            target.nvml.nvmlGpmMigSampleGet(target.parent, target.gpu_instance, self._new)
        first = self._taken_at is None
        self._taken_at = target.now
        self._old, self._new = self._new, self._old
        if first:
            target.missing.update(lacking(_GPM.values(), _FIRST))
            return {}
        self._values = self._compared(target)
        return self._values

    def free(self, nvml: Any) -> None:
        """Give the samples' memory back."""
        with suppress(nvml.NVMLError):  # the library was shut down, and they with it
            for sample in (self._old, self._new):
                nvml.nvmlGpmSampleFree(sample)

    def _compared(self, target: Target) -> dict[str, float]:
        answer = self._answer
        answer.numMetrics = len(_GPM)
        answer.sample1, answer.sample2 = self._new, self._old  # swapped just now: the older one first
        for metric, number in zip(answer.metrics, _GPM, strict=False):
            metric.metricId = number
        target.nvml.nvmlGpmMetricsGet(answer)
        values: dict[str, float] = {}
        for metric, (number, family) in zip(answer.metrics, _GPM.items(), strict=False):
            if metric.nvmlReturn:
                target.missing.update(lacking((family,)))
            elif number in _TRAFFIC:
                values[family.name] = round(metric.value * _MIB)
            else:
                ratio = round(metric.value / _PERCENT, 6)
                values[family.name] = 1.0 if 1.0 < ratio <= _TOLERANCE else ratio
        return values


def _counted(target: Target) -> dict[str, float]:
    """Rates of the driver's byte counters since the last reading; none at a restart or an overflow."""
    counts = target.field_values([(PCIE_TX.name, _TX_FIELD, 0), (PCIE_RX.name, _RX_FIELD, 0)])
    before: tuple[float, dict[str, float]] | None = target.kept.get("pcie")
    target.kept["pcie"] = (target.now, counts)
    if before is None or target.now - before[0] < _SHORTEST:
        return {}
    seconds = target.now - before[0]
    return {
        name: round((count - before[1][name]) / seconds)
        for name, count in counts.items()
        if count >= before[1].get(name, float("inf"))
    }


READERS = (Reader(tuple(_GPM.values()), _profile, instances=True),)
