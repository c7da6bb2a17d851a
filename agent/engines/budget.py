"""What the engines of a node share: the number of their series, and one turn to read a large page."""

from __future__ import annotations

import asyncio


class NodeBudget:
    """Shares `total` series among engines, each known by an object of its own.

    Whoever comes first may take what is left. But an equal share is everybody's right: who holds more than
    that is cut back at its next scrape when others come, so no page can shut out another.

    >>> budget = NodeBudget(100)
    >>> budget.hold("a", 90)
    >>> budget.room("b"), budget.room("a")
    (50, 100)
    >>> budget.hold("b", 50)
    >>> budget.room("a")
    50
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.turn = asyncio.Semaphore(1)
        """To read in a thread: one thread runs at a time, and the more there are, the less the beat gets."""
        self._held: dict[object, int] = {}

    def room(self, owner: object) -> int:
        """The most that it may hold now, what it holds included."""
        own = self._held.setdefault(owner, 0)
        return max(self.total - sum(self._held.values()) + own, self.total // len(self._held))

    def hold(self, owner: object, count: int) -> None:
        """It has so many; an engine that is down keeps its place."""
        self._held[owner] = count

    def release(self, owner: object) -> None:
        """It is gone."""
        self._held.pop(owner, None)
