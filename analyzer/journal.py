"""Puts accepted POSTs on disk before they are answered: all that wait share one commit.

The commit runs in a thread, so that the event loop goes on while the disk is waited for. The thread is the
journal's own: those that all share may be taken by receivers that hang. The tick writes through the same
database; the two take turns there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from alertmanager.backlog import Row, append
from model.alert import Alert
from store.database import Database
from store.errors import StoreUnavailable

MOST_BYTES = 32 << 20
"""So much waits for the disk at most; beyond it senders are asked to come back."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A row to write, the alerts in it, and who waits for it."""

    row: Row
    alerts: Sequence[Alert]
    written: asyncio.Future[None]


class Journal:
    """Writes rows in the order in which they come; `accepted` hears of each that is on disk."""

    def __init__(self, database: Database, accepted: Callable[[Row, Sequence[Alert]], None]) -> None:
        self._database = database
        self._accepted = accepted
        self._waiting: list[Entry] = []
        self._bytes = 0
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(1, "journal")

    @property
    def full(self) -> bool:
        """Whether the disk is too far behind to take more."""
        return self._bytes > MOST_BYTES

    async def append(self, row: Row, alerts: Sequence[Alert]) -> None:
        """Returns when the row is on disk. Raises StoreUnavailable if it is not; then it is not accepted."""
        written = asyncio.get_running_loop().create_future()
        self._waiting.append(Entry(row, alerts, written))
        self._bytes += len(row.body)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all(), name="journal")
        await asyncio.shield(written)

    async def drain(self) -> None:
        """Wait until nothing waits."""
        if self._writing is not None:
            await self._writing

    async def close(self) -> None:
        """Wait until nothing waits, and take no more."""
        await self.drain()
        self._thread.shutdown(wait=False)

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                await self._write_waiting()
        finally:
            self._writing = None

    async def _write_waiting(self) -> None:
        entries, self._waiting = self._waiting, []
        failure: Exception | None = None
        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._thread, self._write, [entry.row for entry in entries])
        except Exception as error:  # whatever the database says: nobody may wait for ever, nobody is told yes
            failure = error if isinstance(error, StoreUnavailable) else StoreUnavailable(str(error))
        for entry in entries:
            self._bytes -= len(entry.row.body)
            if failure is None:
                self._accepted(entry.row, entry.alerts)
            if entry.written.cancelled():
                continue
            if failure is None:
                entry.written.set_result(None)
            else:
                entry.written.set_exception(failure)
                entry.written.exception()  # an asker that has left does not fetch it

    def _write(self, rows: Sequence[Row]) -> None:
        with self._database.transaction() as tx:
            append(tx, rows)
