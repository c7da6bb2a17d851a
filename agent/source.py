"""What the agent reads on its beat: the host, its GPUs, each engine."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from agent.reading import Reading
from model.metric import Metric


class Source(Protocol):
    """One origin of series. What goes wrong in it is said by its own series and never raised."""

    @property
    def interval(self) -> int:
        """Time between readings, ms."""

    @property
    def exported(self) -> bool:
        """Whether /metrics shows it."""

    def metrics(self) -> Iterable[Metric]:
        """The families that its readings may hold, known so far."""

    async def read(self, at: int) -> Reading:
        """Its series as of `at` (ms), within a deadline that leaves the interval room."""

    async def close(self) -> None:
        """Let go of what it holds."""
