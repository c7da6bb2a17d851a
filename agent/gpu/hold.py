"""Whether the agent keeps its hands off the driver, so that it can be replaced or a GPU be reset."""

from __future__ import annotations

import asyncio


class Hold:
    """A switch that signals turn; the probe lives while it is off. It outlives a reload of the settings."""

    def __init__(self) -> None:
        self._taken = asyncio.Event()
        self._free = asyncio.Event()
        self._free.set()

    @property
    def held(self) -> bool:
        """Whether the driver is to be let alone."""
        return self._taken.is_set()

    def release(self) -> None:
        """Let go of the driver; returns at once."""
        self._free.clear()
        self._taken.set()

    def resume(self) -> None:
        """Take it again; returns at once."""
        self._taken.clear()
        self._free.set()

    async def taken(self) -> None:
        """Until the driver is to be let alone."""
        await self._taken.wait()

    async def free(self) -> None:
        """Until it may be used."""
        await self._free.wait()
