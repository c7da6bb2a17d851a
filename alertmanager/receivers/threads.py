"""Threads of one integration, for a library that blocks.

They are not the event loop's own, which also ask for hosts' addresses and serve everybody. A thread cannot
be ended from outside: one that outlives its time-out keeps its place until its call returns, and the call
that it makes is not made again meanwhile. No exit of the process waits for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from threading import Thread
from typing import TypeVar

from alertmanager.receivers.lane import WIDTH

T = TypeVar("T")


class Busy(Exception):
    """An earlier call has not come back yet; the text says which."""


class Threads:
    """At most `most` at a time; calls are known by a key."""

    def __init__(self, most: int = WIDTH) -> None:
        self._most = most
        self._under_way: set[str] = set()

    async def run(self, key: str, seconds: float, call: Callable[[], T]) -> T:
        """What the call returns or raises. Raises TimeoutError after `seconds`, and Busy."""
        if key in self._under_way:
            raise Busy("still busy with the attempt before this one")
        if len(self._under_way) >= self._most:
            raise Busy(f"still busy: {self._most} earlier attempts have not come back")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            self._under_way.discard(key)
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result, error = None, None
            try:
                result = call()
            except BaseException as raised:
                error = raised
            with contextlib.suppress(RuntimeError):  # the loop may be gone
                loop.call_soon_threadsafe(settle, result, error)

        self._under_way.add(key)
        Thread(target=work, name="receiver", daemon=True).start()
        async with asyncio.timeout(seconds):
            return await answer
