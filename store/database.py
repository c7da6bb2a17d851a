"""One database for the state of all rooms, with a version per room.

SQLite in WAL mode by default, `synchronous=FULL`: a commit that returned is on the disk, also when the
machine loses power in the next moment. PostgreSQL by URL. A room describes its tables once:

    SCHEMA = Schema("incidents", version=2, metadata=METADATA, migrations={2: add_blast_radius})
    database.create(SCHEMA)
    with database.transaction() as tx:
        tx.execute(...)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    make_url,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from store.columns import upsert
from store.errors import SchemaTooNew, StoreUnavailable, unavailable

BUSY_TIMEOUT = 2_000
"""How long (ms) a statement waits for another process's lock before it is an error."""

_READING = "fleetowl_reading"

Migration = Callable[[Connection], None]

_VERSIONS = Table(
    "fleetowl_schema",
    MetaData(),
    Column("room", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
)


@dataclass(frozen=True)
class Schema:
    """The tables of one room. `migrations[n]` turns version n-1 into version n; version 1 is the first."""

    room: str
    version: int
    metadata: MetaData
    migrations: Mapping[int, Migration] = field(default_factory=dict)


class Database:
    """An open state database. Raises StoreUnavailable wherever the disk or the server says no."""

    def __init__(self, url: str, busy_timeout: int = BUSY_TIMEOUT) -> None:
        self.url = make_url(url)
        self._engine = _engine(url, busy_timeout)
        in_memory = self._engine.pool.__class__ is StaticPool
        # SQLite has one writer: threads of this process take turns here, in the order of a lock, instead of
        # asking again and again. In memory there is one connection, which readers share too.
        self._turn: AbstractContextManager[Any] = (
            threading.RLock() if self._engine.dialect.name == "sqlite" else nullcontext()
        )
        self._reader: AbstractContextManager[Any] = self._turn if in_memory else nullcontext()
        with self.transaction() as tx:
            _VERSIONS.metadata.create_all(tx)

    def __repr__(self) -> str:
        return f"Database({self.url.render_as_string(hide_password=True)})"

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that writes: committed on leaving, rolled back on any exception."""
        with _translated(), self._turn, self._engine.begin() as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A transaction that only reads, and neither waits for a writer nor holds one up."""
        with _translated(), self._reader, self._engine.connect().execution_options(**{_READING: True}) as tx:
            yield tx

    def create(self, schema: Schema) -> str:
        """Make the tables of a room, or bring them to this version; says what it did.

        Raises SchemaTooNew if a newer Fleetowl wrote them.
        """
        with self.transaction() as tx:
            found = tx.scalar(select(_VERSIONS.c.version).where(_VERSIONS.c.room == schema.room))
            if found == schema.version:
                return f"the tables of {schema.room} are at version {found}"
            if found is not None and found > schema.version:
                raise SchemaTooNew(
                    f"the state database holds {schema.room} in version {found}, this Fleetowl knows "
                    f"version {schema.version}: start the newer Fleetowl, or another state database"
                )
            if found is None:
                schema.metadata.create_all(tx)
            else:
                _migrate(tx, schema, found)
            upsert(tx, _VERSIONS, [{"room": schema.room, "version": schema.version}])
        was = "made" if found is None else f"moved from version {found} to"
        return f"the tables of {schema.room} were {was} version {schema.version}"

    def check(self) -> None:
        """Read the whole file once. Raises StoreUnavailable(damaged=True) if a page is broken."""
        if self._engine.dialect.name != "sqlite":
            return
        with self.reading() as tx:
            found = tx.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise StoreUnavailable(f"the state database is damaged ({found})", damaged=True)

    def close(self) -> None:
        """Close every connection; the last one folds the write-ahead log into the file."""
        self._engine.dispose()


def _migrate(tx: Connection, schema: Schema, found: int) -> None:
    for version in range(found + 1, schema.version + 1):
        schema.migrations[version](tx)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        translated = unavailable(error)
        if translated is None:
            raise
        raise translated from error


def _engine(url: str, busy_timeout: int) -> Engine:
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    if parsed.database in (None, "", ":memory:"):  # one connection, or each would see its own database
        engine = create_engine(url, poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(url)
    event.listen(engine, "connect", lambda connection, _record: _prepare(connection, busy_timeout))
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(connection: Any, busy_timeout: int) -> None:
    """SQLite's settings for one connection."""
    # Python's sqlite3 would commit before DDL; without its help BEGIN and COMMIT are ours alone.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={busy_timeout}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(tx: Connection) -> None:
    # IMMEDIATE takes the write lock now, where waiting for it is possible; a read that turns into a
    # write later would fail at once when another process wrote in between.
    reading = tx.get_execution_options().get(_READING, False)
    tx.exec_driver_sql("BEGIN DEFERRED" if reading else "BEGIN IMMEDIATE")
