"""What was fetched lately: for rates, and for the line of the last minute."""

from __future__ import annotations

from collections import deque

from agent.snapshot.build import snapshot
from agent.snapshot.facts import Row
from agent.snapshot.shape import Snapshot
from fleetowl.top.fetch import Fetched

RATE_SECONDS = 10.0
"""Rates are over at least this, if there is so much: an agent's figures are seconds apart themselves."""

MINUTE_SECONDS = 60.0
BLOCKS = "▁▂▃▄▅▆▇█"

GpuKey = tuple[str, str, str]
"""Node, UUID, MIG instance."""


class History:
    """Takes what is fetched, gives snapshots with rates, and remembers how busy each GPU was."""

    def __init__(self) -> None:
        self._fetched: deque[tuple[float, list[Row]]] = deque()
        self._busy: dict[GpuKey, deque[tuple[float, float]]] = {}

    def add(self, fetched: Fetched) -> Snapshot:
        """The snapshot of it, with what was before."""
        while len(self._fetched) > 1 and fetched.at - self._fetched[1][0] >= RATE_SECONDS:
            self._fetched.popleft()
        before = self._fetched[0] if self._fetched else None
        now = (fetched.at, fetched.rows)
        seen = snapshot(before, now, fetched.own)
        if not self._fetched or fetched.at - self._fetched[-1][0] >= 1.0:
            self._fetched.append(now)
        self._remember(seen)
        return seen

    def line(self, key: GpuKey, now: float, width: int) -> str:
        """How busy it was in the last minute, oldest first; a space where nothing is known."""
        slots: list[float | None] = [None] * width
        for at, ratio in self._busy.get(key, ()):
            age = now - at
            if 0 <= age < MINUTE_SECONDS:
                slot = width - 1 - int(age * width / MINUTE_SECONDS)
                slots[slot] = max(slots[slot] or 0.0, ratio)
        return "".join(" " if ratio is None else _block(ratio) for ratio in slots)

    def _remember(self, seen: Snapshot) -> None:
        for node in seen.nodes:
            for gpu in node.gpus:
                if gpu.utilization_ratio is not None:
                    key = (node.node, gpu.uuid, gpu.mig_instance)
                    self._busy.setdefault(key, deque()).append((seen.at_seconds, gpu.utilization_ratio))
        for key, kept in list(self._busy.items()):
            while kept and seen.at_seconds - kept[0][0] > MINUTE_SECONDS:
                kept.popleft()
            if not kept:
                del self._busy[key]


def _block(ratio: float) -> str:
    return BLOCKS[min(len(BLOCKS) - 1, max(0, int(ratio * len(BLOCKS))))]
