"""A thread for calls that may never return, one at a time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


class Lane(Generic[_Result]):
    """Performs one job at a time in a daemon thread, which starts with the first.

    All methods belong to one thread, the owner's. While it is busy no new job can begin, so a driver that
    hangs costs one thread, however often one would like to ask it.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.busy = False
        self.since = 0.0
        """When the last job began, on the owner's clock."""
        self.result: _Result | None = None
        self.error: BaseException | None = None
        self._todo: SimpleQueue[Callable[[], _Result] | None] = SimpleQueue()
        self._done = threading.Lock()
        self._done.acquire()
        self._thread: threading.Thread | None = None

    def begin(self, job: Callable[[], _Result], now: float) -> None:
        """Start a job. The lane must not be busy."""
        assert not self.busy
        self.busy, self.since = True, now
        self.result = self.error = None
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()
        self._todo.put(job)

    def wait(self, seconds: float) -> bool:
        """Whether it is idle, after at most these seconds."""
        if self.busy and self._done.acquire(timeout=max(0.0, seconds)):
            self.busy = False
        return not self.busy

    def close(self) -> None:
        """Let the thread end after the job that it is in, if any. No jobs after this."""
        self._todo.put(None)

    def _run(self) -> None:
        while (job := self._todo.get()) is not None:
            try:
                self.result = job()
            # Whatever the job raises belongs to the owner.
            except BaseException as error:
                self.error = error
            # The variable would otherwise keep what the job holds until the next one.
            del job
            self._done.release()
