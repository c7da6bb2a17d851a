"""What can go wrong with a state database, as two exceptions.

StoreError
  StoreUnavailable  the database cannot be written or read now: full, locked, read-only, damaged
  SchemaTooNew      the database was written by a newer Fleetowl
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError


class StoreError(Exception):
    """Anything that the state database refuses."""


class StoreUnavailable(StoreError):
    """The store cannot take or give anything now. The caller keeps its state and tries again."""

    def __init__(self, sentence: str, *, damaged: bool = False) -> None:
        super().__init__(sentence)
        self.damaged = damaged


class SchemaTooNew(StoreError):
    """The tables of a room were written by a newer version; this code must not touch them."""


_SENTENCES = {
    sqlite3.SQLITE_FULL: "the disk (or the size limit) of the state database is full",
    sqlite3.SQLITE_BUSY: "another process holds the state database locked",
    sqlite3.SQLITE_LOCKED: "another connection holds a table of the state database locked",
    sqlite3.SQLITE_READONLY: "the state database is read-only",
    sqlite3.SQLITE_IOERR: "the disk under the state database answers with an input/output error",
    sqlite3.SQLITE_CANTOPEN: "the state database cannot be opened",
    sqlite3.SQLITE_PERM: "the permissions of the state database forbid its use",
    sqlite3.SQLITE_NOMEM: "there is no memory left for the state database",
    sqlite3.SQLITE_CORRUPT: "the state database is damaged",
    sqlite3.SQLITE_NOTADB: "the file is not a state database",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def unavailable(error: DBAPIError) -> StoreUnavailable | None:
    """The error as a sentence, or None if it is a mistake in our own statement."""
    if isinstance(error.orig, sqlite3.Error):
        # the low byte is the primary code, the rest tells which call met it
        code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
        if code not in _SENTENCES:
            return None
        return StoreUnavailable(f"{_SENTENCES[code]} ({error.orig})", damaged=code in _DAMAGED)
    if isinstance(error, OperationalError):
        return StoreUnavailable(f"the state database does not answer ({error.orig})")
    return None
