"""Whether a code has come so often that it means more."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from agent.xid.devices import Device
from agent.xid.settings import RepeatSettings

BURST = 30.0
"""Seconds: one failure of an application makes many lines, on many channels and units."""

_KEPT = 500  # bursts of one code


@dataclass(slots=True)
class _Burst:
    device: Device
    unit: str
    began: float
    ended: float


class Repeats:
    """Remembers the bursts of each code on each unit of each GPU; seconds, monotonic."""

    def __init__(self) -> None:
        self._bursts: dict[int, deque[_Burst]] = {}

    def add(self, device: Device, code: int, unit: str, now: float) -> None:
        """It has come."""
        bursts = self._bursts.setdefault(code, deque(maxlen=_KEPT))
        for burst in reversed(bursts):
            if (burst.device, burst.unit) == (device, unit) and abs(now - burst.ended) <= BURST:
                burst.ended = max(burst.ended, now)
                return
        bursts.append(_Burst(device, unit, now, now))

    def rename(self, old: Device, new: Device) -> None:
        """One is the other."""
        for bursts in self._bursts.values():
            for burst in bursts:
                if burst.device == old:
                    burst.device = new

    def forget(self, device: Device) -> None:
        """It is gone for good."""
        for code, bursts in self._bursts.items():
            self._bursts[code] = deque((each for each in bursts if each.device != device), maxlen=_KEPT)

    def meets(self, rule: RepeatSettings, device: Device, code: int, unit: str, now: float) -> bool:
        """Whether the code on this unit (empty: it names none) is a repetition under the rule."""
        if rule.same == "unit" and not unit:
            return False
        recent = [each for each in self._bursts.get(code, ()) if now - each.ended <= rule.within / 1000]
        if rule.same == "unit":
            recent = [each for each in recent if each.device == device and each.unit]
            ours = [each for each in recent if each.unit == unit]
        else:
            ours = _apart([each for each in recent if each.device == device])
            recent = [each for each in recent if each.device != device] + ours
        return len(ours) >= rule.times and not (rule.alone and len(recent) > len(ours))


def _apart(bursts: list[_Burst]) -> list[_Burst]:
    """Of bursts on several units at the same time, one."""
    apart: list[_Burst] = []
    for burst in sorted(bursts, key=lambda each: each.began):
        if not apart or burst.began - apart[-1].ended > BURST:
            apart.append(burst)
    return apart
