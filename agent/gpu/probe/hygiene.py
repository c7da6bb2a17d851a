"""What no device can have said: blank sentinels and values out of range. They are dropped and counted.

Blanks are from dcgm_fields.h (DCGM_INT32_BLANK, DCGM_INT64_BLANK, DCGM_FP64_BLANK, each with three further
kinds: not found, not supported, not permitted) and NVML's own "not available", all bits set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agent.gpu.probe.family import Family
from agent.gpu.probe.target import Part

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
        # Most blanks are out of most ranges anyway, and this is asked some hundred times a second.
        self._ranges = {
            family.name: (
                family.low,
                family.high,
                any(family.low <= blank <= family.high for blank in BLANKS),
            )
            for family in families
        }

    def passed(
        self, values: Mapping[str, float], refused: dict[str, int], accepted: dict[str, float]
    ) -> None:
        """Add the plausible ones to `accepted`, and one to `refused` for each of the others."""
        for name, value in values.items():
            low, high, blanks = self._ranges[name]
            if low <= value <= high and not (blanks and value in BLANKS):
                accepted[name] = value
            else:
                refused[name] = refused.get(name, 0) + 1

    def passed_parts(self, parts: Iterable[Part], refused: dict[str, int], accepted: list[Part]) -> None:
        """The same for values with labels."""
        for part in parts:
            plausible: dict[str, float] = {}
            self.passed({part[0]: part[2]}, refused, plausible)
            if plausible:
                accepted.append(part)
