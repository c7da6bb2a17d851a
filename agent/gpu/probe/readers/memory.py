"""Frame buffer of a GPU or a MIG instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.gpu.probe.errors import ARGUMENT_VERSION_MISMATCH, FUNCTION_NOT_FOUND
from agent.gpu.probe.family import gauge, metrics
from agent.gpu.probe.target import Reader, Target

_MIB = 1 << 20
_MOST_MIB = 1 << 24
_VERSION_2 = 0x02000028  # nvmlMemory_v2: version 2, 40 bytes

FB_FREE = gauge("DCGM_FI_DEV_FB_FREE", "Framebuffer memory free (in MiB).", _MOST_MIB)
FB_USED = gauge("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", _MOST_MIB)
FB_RESERVED = gauge("DCGM_FI_DEV_FB_RESERVED", "Framebuffer memory reserved (in MiB).", _MOST_MIB)
METRICS = metrics(FB_FREE, FB_USED, FB_RESERVED)


def _memory(target: Target) -> Mapping[str, float]:
    """Version 2 tells what is reserved; in version 1 that hides in `used`."""
    if "version 1" not in target.kept:
        try:
            memory = target.nvml.nvmlDeviceGetMemoryInfo(target.handle, _VERSION_2)
        except target.nvml.NVMLError as error:
            if error.value not in (FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH):
                raise
            target.kept["version 1"] = True
        else:
            return {**_sizes(memory), FB_RESERVED.name: memory.reserved // _MIB}
    target.missing[FB_RESERVED.name] = "this driver counts it as used"
    return _sizes(target.nvml.nvmlDeviceGetMemoryInfo(target.handle))


def _sizes(memory: Any) -> dict[str, float]:
    # DCGM rounds down, nvidia-smi up.
    return {FB_FREE.name: memory.free // _MIB, FB_USED.name: memory.used // _MIB}


READERS = (Reader((FB_FREE, FB_USED, FB_RESERVED), _memory, instances=True),)
