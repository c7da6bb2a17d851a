"""NVML's return codes, and what each means for what was asked."""

from __future__ import annotations

UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND = 1, 2, 3, 4, 6
DRIVER_NOT_LOADED, TIMEOUT, LIBRARY_NOT_FOUND, FUNCTION_NOT_FOUND = 9, 10, 12, 13
GPU_IS_LOST, RESET_REQUIRED, LIB_RM_VERSION_MISMATCH = 15, 16, 18
ARGUMENT_VERSION_MISMATCH, DEPRECATED, NOT_READY, GPU_NOT_FOUND, UNKNOWN = 25, 26, 27, 28, 999

_WORDS = {
    UNINITIALIZED: "not initialised",
    INVALID_ARGUMENT: "invalid argument",
    NOT_SUPPORTED: "not supported by this device",
    NO_PERMISSION: "not permitted",
    NOT_FOUND: "not found",
    DRIVER_NOT_LOADED: "NVIDIA driver not loaded",
    TIMEOUT: "timed out in the driver",
    LIBRARY_NOT_FOUND: "NVML library not found",
    FUNCTION_NOT_FOUND: "not in this driver's library",
    GPU_IS_LOST: "GPU is lost",
    RESET_REQUIRED: "GPU requires a reset",
    LIB_RM_VERSION_MISMATCH: "the library and the loaded driver are of different versions",
    ARGUMENT_VERSION_MISMATCH: "this driver's library has another version of the call",
    DEPRECATED: "withdrawn from this driver's library",
    NOT_READY: "not ready",
    GPU_NOT_FOUND: "GPU not found",
    UNKNOWN: "unknown error in the driver",
}

LACKING = frozenset(
    {NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH, DEPRECATED, NOT_READY}
)
"""The device or its driver does not give this value; it is well otherwise."""

GONE = frozenset({GPU_IS_LOST, GPU_NOT_FOUND})
"""The device is no longer there."""

DRIVER_WIDE = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, LIB_RM_VERSION_MISMATCH})
"""No device is to blame: the driver went away or was replaced under the library."""


def sentence(code: int) -> str:
    """What an error means, with its number: `GPU is lost (NVML 15)`."""
    return f"{_WORDS.get(code, 'error in the driver')} (NVML {code})"
