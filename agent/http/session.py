"""The session of aiohttp that all of the agent shares, if anything in it needs one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import aiohttp

SessionOf = Callable[[], "aiohttp.ClientSession"]
"""Gives the session; only those who need it ask for it."""


class SharedSession:
    """Makes the session, and imports aiohttp, when it is first asked for."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    def __call__(self) -> aiohttp.ClientSession:
        """The session; to be called where a loop runs."""
        if self._session is None:
            from agent.http.by_aiohttp import new_session

            self._session = new_session()
        return self._session

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()
