"""What the driver says in numbers, in words."""

from __future__ import annotations

CLOCK_REASONS = {
    0x1: "idle",
    0x2: "clocks set by an application",
    0x4: "power cap",
    0x8: "hardware slowdown",
    0x10: "sync boost",
    0x20: "too warm (software)",
    0x40: "too hot (hardware)",
    0x80: "power brake",
    0x100: "display clocks",
    0x200: "board limit",
    0x400: "reliability",
}
"""Bits of nvmlDeviceGetCurrentClocksEventReasons (nvml.h, nvmlClocksEventReason*)."""

_HARMLESS = 0x1 | 0x2 | 0x4 | 0x10 | 0x100
"""A GPU under load is at its power cap; that alone is no trouble."""

RECOVERY_ACTIONS = {
    1: "reset the GPU",
    2: "reboot the node",
    3: "drain peer-to-peer traffic",
    4: "drain the GPU, then reset it",
    5: "recover the IMEX domain",
    6: "reset the bus",
    7: "reboot the system",
}
"""Of NVML_FI_DEV_GET_GPU_RECOVERY_ACTION (nvml.h, nvmlDeviceGpuRecoveryAction_t)."""


SCRAPE_FAILURES = {
    "connection": "nothing answers at its address",
    "timeout": "it does not answer in time",
    "status": "it answers with an error",
    "too_large": "its page is larger than body_size_limit",
    "malformed": "what it answers is no metrics page",
}
"""The words that fleetowl_engine_status has for a scrape that fails."""


def clock_reasons(bits: int, *, harmful: bool = False) -> tuple[str, ...]:
    """The reasons in words; with `harmful` only those that need a look.

    >>> clock_reasons(0x44), clock_reasons(0x44, harmful=True)
    (('power cap', 'too hot (hardware)'), ('too hot (hardware)',))
    """
    masked = bits & ~_HARMLESS if harmful else bits
    return tuple(words for bit, words in CLOCK_REASONS.items() if masked & bit)


def recovery_action(code: int) -> str:
    """What the driver asks for; empty for nothing.

    >>> recovery_action(1), recovery_action(0), recovery_action(99)
    ('reset the GPU', '', 'recovery action 99')
    """
    return RECOVERY_ACTIONS.get(code, f"recovery action {code}") if code > 0 else ""


def counted(count: float, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(2, "row"), counted(3, "memory error", "memory errors")
    ('1 row', '2 rows', '3 memory errors')
    """
    return f"{count:.0f} {one if count == 1 else many or one + 's'}"


def short_uuid(uuid: str) -> str:
    """Enough of it to tell GPUs apart.

    >>> short_uuid("GPU-c2f76b33-7953-256e-8f33-1343419b1a1c"), short_uuid("MIG-9a8b7c6d-aaaa")
    ('GPU-c2f76b33', 'MIG-9a8b7c6d')
    """
    return "-".join(uuid.split("-")[:2])
