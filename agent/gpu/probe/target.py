"""What a reader gets: a device that can be asked, and where to put what has no plain value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from agent.gpu.probe.errors import DRIVER_WIDE, GONE, NOT_SUPPORTED, sentence
from agent.gpu.probe.family import Family
from agent.gpu.protocol import Process

Part = tuple[str, dict[str, str], float]
"""Family, further labels, value."""


class Target:
    """A GPU or a MIG instance, in the thread that may ask it."""

    __slots__ = (
        "gpu_instance",
        "handle",
        "kept",
        "mig",
        "missing",
        "now",
        "nvml",
        "parent",
        "parts",
        "processes",
    )

    def __init__(self, nvml: Any, handle: Any, parent: Any = None, gpu_instance: int = -1) -> None:
        self.nvml = nvml
        self.handle = handle
        self.parent = parent
        """Handle of the GPU that this MIG instance is part of, None for a GPU."""
        self.gpu_instance = gpu_instance
        self.mig = False
        """Whether this GPU is in MIG mode."""
        self.now = 0.0
        """Seconds, of a clock that only goes forward."""
        self.kept: dict[str, Any] = {}
        """What a reader needs to know the next time."""
        self.missing: dict[str, str] = {}
        self.parts: list[Part] = []
        self.processes: list[Process] = []

    def close(self) -> None:
        """Give back what the readers hold in the driver's library."""
        for each in self.kept.values():
            if hasattr(each, "free"):
                each.free(self.nvml)
        self.kept.clear()

    def field_values(self, fields: Iterable[tuple[str, int, int]]) -> dict[str, float]:
        """Values of (family, NVML field, scope) in one call; those that fail are noted as missing.

        Raises NVMLError if the call as a whole fails, or the device is gone.
        """
        wanted = tuple(fields)
        answer = self.nvml.nvmlDeviceGetFieldValues(self.handle, [row[1:] for row in wanted])
        values: dict[str, float] = {}
        for (name, _, _), each in zip(wanted, answer, strict=True):
            code = each.nvmlReturn
            if code in DRIVER_WIDE or code in GONE:
                raise self.nvml.NVMLError(code)
            if code:
                self.missing[name] = sentence(code)
            else:
                values[name] = getattr(each.value, _MEMBERS[each.valueType])
        return values


# In the order of nvmlValueType_t: the member of the union that holds the value.
_MEMBERS = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")


class Reader(NamedTuple):
    """One question, or a few that belong together, to a device.

    `read` returns values by family and may raise NVMLError. A slow one costs the driver long, or hardly ever
    has a new answer; it is asked seldom.
    """

    families: tuple[Family, ...]
    read: Callable[[Target], Mapping[str, float]]
    slow: bool = False
    instances: bool = False
    """Whether a MIG instance can be asked too."""


def one(family: Family, call: str, *arguments: int, slow: bool = False, scale: float = 0.0) -> Reader:
    """A reader of one call that answers one number, divided by `scale` if that is given."""
    name = family.name

    def read(target: Target) -> Mapping[str, float]:
        value = getattr(target.nvml, call)(target.handle, *arguments)
        return {name: value / scale if scale else value}

    return Reader((family,), read, slow)


def lacking(families: Iterable[Family], reason: str = "") -> dict[str, str]:
    """The families as missing, all for one reason."""
    return {family.name: reason or sentence(NOT_SUPPORTED) for family in families}
