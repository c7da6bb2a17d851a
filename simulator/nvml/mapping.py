"""The control table's file: mapped into memory, written under its sequence number."""

from __future__ import annotations

import ctypes
import mmap
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from simulator.nvml.table import MAGIC, Table

FUTEX = {"x86_64": 202, "aarch64": 98}
"""Number of the futex system call by machine; the C library has no function for it."""
_FUTEX_WAKE = 1
_EVERYONE = 2**31 - 1


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


class TableFile:
    """A new table at `path`, instead of one from before. One process writes, with any number of threads."""

    def __init__(self, path: Path, *, stepped: bool = False) -> None:
        self.path = path
        self.closed = False
        # A process that still has an old table keeps it: the new one is another file.
        path.unlink(missing_ok=True)
        with path.open("w+b") as file:
            file.truncate(ctypes.sizeof(Table))
            self._map = mmap.mmap(file.fileno(), ctypes.sizeof(Table))
        self.record = Table.from_buffer(self._map)
        self._lock = threading.RLock()
        self._depth = 0
        self.record.stepped = int(stepped)
        self.record.size = ctypes.sizeof(Table)
        self.record.magic = MAGIC

    def now(self) -> int:
        """The table's clock, ns: CLOCK_MONOTONIC as the library reads it, or where it was stepped to."""
        return int(self.record.clock) if self.record.stepped else time.monotonic_ns()

    @contextmanager
    def writing(self) -> Iterator[int]:
        """Everything changed inside is seen at once; gives `now`. May be nested.

        The lock is also what orders our writes on machines that would reorder them.
        """
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                self.record.sequence += 1
            try:
                yield self.now()
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self.record.sequence += 1
                    self._wake()

    def _wake(self) -> None:
        """Wake whoever waits in the library; where we cannot, it looks again by itself soon."""
        number = FUTEX.get(platform.machine())
        if number is not None:
            address = ctypes.addressof(self.record) + Table.sequence.offset
            _libc().syscall(number, ctypes.c_void_p(address), _FUTEX_WAKE, _EVERYONE, None, None, 0)

    def close(self) -> None:
        """Unmap; the file stays, for it is the caller's folder."""
        if not self.closed:
            self.closed = True
            del self.record
            with suppress(BufferError):  # a part of the record is still held somewhere
                self._map.close()
