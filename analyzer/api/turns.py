"""How queries share the one event loop with the tick.

Everything runs in one thread, so a query must never hold it for long. All work of the read API is cut into
slices: whoever has worked for SLICE_SECONDS gives the loop back, and only one request works in each turn of
the loop. So the tick, scrapes and writes wait for one slice, however many queries there are; the queries
share what is left, in turn. One step of one expression is not divided: it costs what a rule costs, and
`rules.max_series` bounds it.

At most MOST_AT_ONCE requests are under way, as with Prometheus' --query.max-concurrency; the others queue.
A request ends with 503 at its `timeout` (TIMEOUT_SECONDS unless it asks for less) wherever it is, and as
soon as its asker has left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from analyzer.api.errors import ApiError

SLICE_SECONDS = 0.01
TIMEOUT_SECONDS = 120.0
MOST_AT_ONCE = 20


class Turn:
    """One request's right to work; `rest` must be called wherever it may be interrupted."""

    def __init__(self, turns: Turns, request: web.Request, deadline: float) -> None:
        self._turns = turns
        self._request = request
        self._deadline = deadline
        self._since = turns.timer()
        self.working = True

    @property
    def left(self) -> float:
        """Seconds of the slice that are not used up."""
        return self._turns.slice - (self._turns.timer() - self._since)

    async def rest(self) -> None:
        """Give the loop back if the slice is used up. Raises ApiError when the time of the request is."""
        if self.left > 0:
            return
        self._check()
        await asyncio.sleep(0)  # before the next one may begin, or all would work in one turn of the loop
        self.stop()
        await self._turns.working.acquire()
        self.working = True
        self._since = self._turns.timer()
        self._check()

    def stop(self) -> None:
        """Let the next one work."""
        if self.working:
            self.working = False
            self._turns.working.release()

    def _check(self) -> None:
        if self._turns.timer() > self._deadline:
            raise ApiError(503, "timeout", "query timed out in query execution")
        if self._request.transport is None:
            raise ApiError(499, "canceled", "query was canceled in query execution")


class Turns:
    """Who works when. `timer` measures seconds, `slice` is how long one may work at a stretch."""

    def __init__(self, slice: float = SLICE_SECONDS, timer: Callable[[], float] = time.perf_counter) -> None:
        self.slice = slice
        self.timer = timer
        self.working = asyncio.Lock()
        self._under_way = asyncio.Semaphore(MOST_AT_ONCE)

    @asynccontextmanager
    async def take(self, request: web.Request, timeout: float = TIMEOUT_SECONDS) -> AsyncIterator[Turn]:
        """A turn, when there is one. `timeout` in seconds counts from now. Raises ApiError."""
        deadline = self.timer() + min(timeout, TIMEOUT_SECONDS)
        try:
            async with asyncio.timeout(min(timeout, TIMEOUT_SECONDS)):
                await self._under_way.acquire()
        except TimeoutError as error:
            raise ApiError(503, "timeout", "query timed out in query queue") from error
        try:
            await self.working.acquire()
            turn = Turn(self, request, deadline)
            try:
                yield turn
                await asyncio.sleep(0)
            finally:
                turn.stop()
        finally:
            self._under_way.release()
