"""What no device can have said: blank sentinels and values out of range. They are dropped and counted.

Blanks are from dcgm_fields.h (DCGM_INT32_BLANK, DCGM_INT64_BLANK, DCGM_FP64_BLANK, each with three further
kinds: not found, not supported, not permitted) and NVML's own "not available", all bits set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.gpu.probe.family import Family

_KINDS = range(4)
BLANKS = frozenset(
    [0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF]
    + [0x7FFFFFF0 + kind for kind in _KINDS]
    + [0x7FFFFFFFFFFFFFF0 + kind for kind in _KINDS]
    + [140737488355328.0 + kind for kind in _KINDS]
)


class Customs:
    """Lets values of known families pass that a device can have; counts the others by family."""

    def __init__(self, families: Iterable[Family]) -> None:
        self._ranges = {family.name: (family.low, family.high) for family in families}

    def passed(
        self, values: Mapping[str, float], refused: dict[str, int], accepted: dict[str, float]
    ) -> None:
        """Add the plausible ones to `accepted`, and one to `refused` for each of the others."""
        for name, value in values.items():
            if self.plausible(name, value):
                accepted[name] = value
            else:
                refused[name] = refused.get(name, 0) + 1

    def plausible(self, name: str, value: float) -> bool:
        """Whether a device can have it. A NaN is in no range."""
        low, high = self._ranges[name]
        return low <= value <= high and value not in BLANKS
