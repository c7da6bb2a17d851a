"""Calls that may never return (a dead NFS server, a driver that hangs), each with a deadline.

They run in a daemon thread: an executor of concurrent.futures would be joined when the process
ends, and a thread in an uninterruptible call would keep it from ending.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class StillBusy(Exception):
    """An earlier call has not returned, so no new one is begun."""


class DeadlinePassed(Exception):
    """The call has not returned in time. It goes on in its thread; its result is dropped."""


class Worker:
    """One thread that performs one call at a time. It starts with the first call."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._todo: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._running: Future[Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a call is under way."""
        return self._running is not None and not self._running.done()

    def call(self, function: Callable[[], _Result], deadline: float) -> _Result:
        """What `function` returns or raises. Raises DeadlinePassed after `deadline` seconds, or StillBusy."""
        future = self._submit(function)
        try:
            return future.result(timeout=deadline)
        except TimeoutError as error:
            if future.done():
                raise  # the function itself raised it
            raise DeadlinePassed(f"no answer within {deadline:g} s") from error

    async def call_async(self, function: Callable[[], _Result], deadline: float) -> _Result:
        """As `call`, without blocking the event loop."""
        future = self._submit(function)
        done, _ = await asyncio.wait({asyncio.wrap_future(future)}, timeout=deadline)
        if not done:
            raise DeadlinePassed(f"no answer within {deadline:g} s")
        return future.result()

    def close(self, last: Callable[[], object] | None = None) -> None:
        """Let the thread, if any, end after the call that it is in and `last`. No calls after this."""
        if last is not None:
            self._todo.put((Future(), last))
        self._todo.put(None)

    def _submit(self, function: Callable[[], _Result]) -> Future[_Result]:
        if self.busy:
            raise StillBusy("an earlier call has not returned")
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        future: Future[_Result] = Future()
        self._running = future
        self._todo.put((future, function))
        return future

    def _run(self) -> None:
        while (job := self._todo.get()) is not None:
            future, function = job
            try:
                result = function()
            # Whatever the call raises belongs to whoever waits for it.
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)
            # The loop's variables would otherwise keep the last result alive until the next call.
            del job, future, function
