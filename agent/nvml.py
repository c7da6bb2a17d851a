"""The NVIDIA driver through NVML: which GPUs there are and what they read, under dcgm-exporter's names.

Every method here may hang in the driver, so they are called from a worker thread only.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from agent.host import labelled
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

_GPU_LABELS = ("gpu", "UUID", "pci_bus_id", "device", "modelName", "Hostname", "DCGM_FI_DRIVER_VERSION")

# Names, types and units are dcgm-exporter's default set, so that its dashboards and rules answer here too.
METRICS = (
    Metric("DCGM_FI_DEV_GPU_UTIL", "gauge", "GPU utilization (in %).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_MEM_COPY_UTIL", "gauge", "Memory utilization (in %).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_FB_USED", "gauge", "Framebuffer memory used (in MiB).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_FB_FREE", "gauge", "Framebuffer memory free (in MiB).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_FB_RESERVED", "gauge", "Framebuffer memory reserved (in MiB).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_GPU_TEMP", "gauge", "GPU temperature (in C).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_POWER_USAGE", "gauge", "Power draw (in W).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_SM_CLOCK", "gauge", "SM clock frequency (in MHz).", _GPU_LABELS),
    Metric("DCGM_FI_DEV_MEM_CLOCK", "gauge", "Memory clock frequency (in MHz).", _GPU_LABELS),
    Metric(
        "fleetowl_gpu_up",
        "gauge",
        "1 if the driver answered for this GPU, 0 if it named an error or no longer lists the GPU.",
        _GPU_LABELS,
    ),
    Metric(
        "fleetowl_gpu_values_refused_total",
        "counter",
        "Values from the driver that no GPU can have (blank sentinels, 4294967295 %), dropped.",
    ),
)

_MIB = 1 << 20
_MILLIWATTS = 1000.0
# Drivers answer with blank sentinels and garbage now and then; what is above this is dropped.
_HIGHEST = {
    "DCGM_FI_DEV_GPU_UTIL": 100,
    "DCGM_FI_DEV_MEM_COPY_UTIL": 100,
    "DCGM_FI_DEV_GPU_TEMP": 200,
    "DCGM_FI_DEV_POWER_USAGE": 10_000,
    "DCGM_FI_DEV_SM_CLOCK": 20_000,
    "DCGM_FI_DEV_MEM_CLOCK": 50_000,
}
_HIGHEST_MIB = 1 << 24

_NOT_SUPPORTED, _DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND, _FUNCTION_NOT_FOUND, _VERSION_MISMATCH = (
    3,
    9,
    12,
    13,
    25,
)


class NoGPU(Exception):
    """This node has no NVIDIA library or no loaded driver: healthy, nothing to read. The text says which."""


def load_nvml() -> Any:
    """The nvidia-ml-py module. Raises NoGPU if the driver's library is not here.

    The library is looked for first: importing the module costs megabytes that a node without GPUs saves.
    """
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError as error:
        raise NoGPU("NVML library not found") from error
    import pynvml

    return pynvml


@dataclass(frozen=True, slots=True)
class _Gpu:
    handle: Any
    labels: Labels


class Driver:
    """An initialised NVML. Raises NoGPU or the module's NVMLError when it cannot be."""

    def __init__(self, nvml: Any, node: str) -> None:
        self._nvml = nvml
        self._node = node
        self.refused = 0
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            if error.value in (_DRIVER_NOT_LOADED, _LIBRARY_NOT_FOUND):
                raise NoGPU(f"NVIDIA driver not loaded ({error})") from error
            raise
        self._version = _text(nvml.nvmlSystemGetDriverVersion())
        self._gpus: dict[int, _Gpu] = {}
        self._known: dict[str, Labels] = {}

    def close(self) -> None:
        """Let go of the driver."""
        self._nvml.nvmlShutdown()

    def sweep(self) -> list[Sample]:
        """Count, state and readings of every GPU. Raises NVMLError if the driver as a whole fails."""
        count = int(self._nvml.nvmlDeviceGetCount())
        self._enumerate(count)
        samples = [Sample("fleetowl_gpu_count", labelled(), float(count))]
        listed = {gpu.labels["UUID"]: gpu for gpu in self._gpus.values()}
        for uuid, labels in self._known.items():
            readings = self._read(listed[uuid]) if uuid in listed else None
            samples.append(Sample("fleetowl_gpu_up", labels, float(readings is not None)))
            samples += readings or ()
        samples.append(Sample("fleetowl_gpu_values_refused_total", labelled(), float(self.refused)))
        return samples

    def _enumerate(self, count: int) -> None:
        if len(self._gpus) == count:
            return
        self._gpus.clear()
        for index in range(count):
            try:
                gpu = self._identify(index)
            except self._nvml.NVMLError as error:
                log.warning("GPU %d of %s does not say who it is: %s", index, self._node, error)
                continue
            self._gpus[index] = gpu
            self._known[gpu.labels["UUID"]] = gpu.labels

    def _identify(self, index: int) -> _Gpu:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        labels = Labels(
            {
                "gpu": str(index),
                "UUID": _text(nvml.nvmlDeviceGetUUID(handle)),
                "pci_bus_id": _text(nvml.nvmlDeviceGetPciInfo(handle).busId),
                "device": f"nvidia{nvml.nvmlDeviceGetMinorNumber(handle)}",
                "modelName": _text(nvml.nvmlDeviceGetName(handle)),
                "Hostname": self._node,
                "DCGM_FI_DRIVER_VERSION": self._version,
            }
        )
        return _Gpu(handle, labels)

    def _read(self, gpu: _Gpu) -> list[Sample] | None:
        """None if the GPU answered with an error that is more than "not supported"."""
        samples: list[Sample] = []
        for read in _READERS:
            try:
                readings = read(self._nvml, gpu.handle)
            except self._nvml.NVMLError as error:
                if error.value in (_NOT_SUPPORTED, _FUNCTION_NOT_FOUND):
                    continue
                self._gpus.clear()  # ask again who is there: its handle may be stale
                return None
            samples += self._plausible(readings, gpu.labels)
        return samples

    def _plausible(self, readings: Mapping[str, float], labels: Labels) -> Iterator[Sample]:
        for name, value in readings.items():
            if 0 <= value <= _HIGHEST.get(name, _HIGHEST_MIB):
                yield Sample(name, labels, float(value))
            else:
                self.refused += 1


def _utilization(nvml: Any, handle: Any) -> Mapping[str, float]:
    rates = nvml.nvmlDeviceGetUtilizationRates(handle)
    return {"DCGM_FI_DEV_GPU_UTIL": rates.gpu, "DCGM_FI_DEV_MEM_COPY_UTIL": rates.memory}


def _memory(nvml: Any, handle: Any) -> Mapping[str, float]:
    """Version 2 tells what is reserved; in version 1 that hides in `used`."""
    try:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle, version=nvml.nvmlMemory_v2)
    except nvml.NVMLError as error:
        if error.value not in (_FUNCTION_NOT_FOUND, _VERSION_MISMATCH):
            raise
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        return {"DCGM_FI_DEV_FB_USED": memory.used // _MIB, "DCGM_FI_DEV_FB_FREE": memory.free // _MIB}
    return {
        "DCGM_FI_DEV_FB_USED": memory.used // _MIB,
        "DCGM_FI_DEV_FB_FREE": memory.free // _MIB,
        "DCGM_FI_DEV_FB_RESERVED": memory.reserved // _MIB,
    }


def _temperature(nvml: Any, handle: Any) -> Mapping[str, float]:
    return {"DCGM_FI_DEV_GPU_TEMP": nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU)}


def _power(nvml: Any, handle: Any) -> Mapping[str, float]:
    return {"DCGM_FI_DEV_POWER_USAGE": nvml.nvmlDeviceGetPowerUsage(handle) / _MILLIWATTS}


def _sm_clock(nvml: Any, handle: Any) -> Mapping[str, float]:
    return {"DCGM_FI_DEV_SM_CLOCK": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM)}


def _memory_clock(nvml: Any, handle: Any) -> Mapping[str, float]:
    return {"DCGM_FI_DEV_MEM_CLOCK": nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM)}


_READERS: tuple[Callable[[Any, Any], Mapping[str, float]], ...] = (
    _utilization,
    _memory,
    _temperature,
    _power,
    _sm_clock,
    _memory_clock,
)


def _text(value: str | bytes) -> str:
    """Older bindings answer bytes."""
    return value.decode() if isinstance(value, bytes) else value
