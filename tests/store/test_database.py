from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, func, insert, select, text

from store.columns import Json, Moment, upsert
from store.database import Database, Schema
from store.durable import Durable, persist, restore
from store.errors import SchemaTooNew, StoreUnavailable
from store.opening import open_database, sqlite_url

NOW = 1_795_000_000_000
METADATA = MetaData()
NOTES = Table(
    "notes",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("body", Json, nullable=False),
)
SCHEMA = Schema("notes", 1, METADATA)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "fleetowl.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened, _ = open_database(sqlite_url(path), NOW)
    opened.create(SCHEMA)
    yield opened
    opened.close()


def count(database: Database) -> int:
    with database.reading() as tx:
        return tx.scalar(select(func.count()).select_from(NOTES)) or 0


def write(database: Database, number: int, size: int = 10) -> None:
    with database.transaction() as tx:
        upsert(tx, NOTES, [{"id": number, "at": NOW, "body": {"text": "x" * size}}])


def test_a_commit_is_durable_and_survives_reopening(path: Path, database: Database) -> None:
    write(database, 1)
    with database.reading() as tx:
        assert tx.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert tx.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert tx.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()
    again, decision = open_database(sqlite_url(path), NOW)
    assert decision
    assert count(again) == 1
    again.close()


def test_an_exception_rolls_everything_back(database: Database) -> None:
    def half(tx: Connection) -> None:
        tx.execute(insert(NOTES), [{"id": 1, "at": NOW, "body": None}])
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError), database.transaction() as tx:
        half(tx)
    assert count(database) == 0


def test_upsert_replaces_the_row(database: Database) -> None:
    write(database, 1)
    with database.transaction() as tx:
        upsert(tx, NOTES, [{"id": 1, "at": NOW + 1, "body": ["é", 1.5]}])
        upsert(tx, NOTES, [])
    with database.reading() as tx:
        assert tx.execute(select(NOTES.c.at, NOTES.c.body)).one() == (NOW + 1, ["é", 1.5])


def test_json_is_canonical_text(database: Database) -> None:
    with database.transaction() as tx:
        upsert(tx, NOTES, [{"id": 1, "at": NOW, "body": {"b": 1, "a": 2}}])
        assert tx.exec_driver_sql("SELECT body FROM notes").scalar() == '{"a":2,"b":1}'


def test_a_mistake_of_ours_is_not_hidden_as_unavailable(database: Database) -> None:
    with pytest.raises(Exception, match="no such table") as caught, database.transaction() as tx:
        tx.execute(text("SELECT * FROM nowhere"))
    assert not isinstance(caught.value, StoreUnavailable)


def test_create_twice_keeps_the_rows(database: Database) -> None:
    write(database, 1)
    assert "at version 1" in database.create(SCHEMA)
    assert count(database) == 1


def test_migrations_run_in_order_and_once(database: Database) -> None:
    ran: list[int] = []

    def step(number: int, statement: str) -> object:
        def migrate(tx: Connection) -> None:
            ran.append(number)
            tx.execute(text(statement))

        return migrate

    newer = Schema(
        "notes",
        3,
        METADATA,
        {
            2: step(2, "ALTER TABLE notes ADD COLUMN a TEXT"),  # type: ignore[dict-item]
            3: step(3, "ALTER TABLE notes ADD COLUMN b TEXT"),  # type: ignore[dict-item]
        },
    )
    write(database, 1)
    assert "from version 1 to version 3" in database.create(newer)
    assert "at version 3" in database.create(newer)
    assert ran == [2, 3]
    assert count(database) == 1


def test_a_failing_migration_leaves_the_old_version(database: Database) -> None:
    def half(tx: Connection) -> None:
        tx.execute(text("ALTER TABLE notes ADD COLUMN a TEXT"))
        raise RuntimeError("halfway")

    with pytest.raises(RuntimeError):
        database.create(Schema("notes", 2, METADATA, {2: half}))
    with database.reading() as tx:
        columns = [row[1] for row in tx.exec_driver_sql("PRAGMA table_info(notes)")]
    assert columns == ["id", "at", "body"]
    assert "at version 1" in database.create(SCHEMA)


def test_a_newer_schema_is_refused(database: Database) -> None:
    database.create(Schema("notes", 2, METADATA, {2: lambda _tx: None}))
    with pytest.raises(SchemaTooNew, match="notes in version 2, this Fleetowl knows version 1"):
        database.create(SCHEMA)


def test_disk_full_is_said_and_survived(database: Database) -> None:
    write(database, 1)
    with database.reading() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar_one()
        tx.exec_driver_sql(f"PRAGMA max_page_count={pages + 1}")
    with pytest.raises(StoreUnavailable, match="full"):
        write(database, 2, size=1_000_000)
    assert count(database) == 1
    with database.reading() as tx:
        tx.exec_driver_sql("PRAGMA max_page_count=1000000")
    write(database, 2, size=1_000_000)
    assert count(database) == 2


def test_a_lock_held_by_another_process_is_unavailable(path: Path, database: Database) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        Database(sqlite_url(path), busy_timeout=1)
    assert count(database) == 0  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    write(database, 1)


def test_a_corrupt_file_is_moved_aside_loudly(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this was a database once" * 1000)
    database, decision = open_database(sqlite_url(path), NOW)
    assert not decision
    assert "started with an empty one" in decision.why
    aside = list(path.parent.glob("fleetowl.db.corrupt-*"))
    assert [piece.read_bytes()[:4] for piece in aside] == [b"this"]
    database.create(SCHEMA)
    write(database, 1)
    database.close()


def test_a_file_with_a_broken_page_is_moved_aside(path: Path, database: Database) -> None:
    for number in range(50):
        write(database, number, size=3000)
    database.close()
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xa5" * (40960 - 8192)
    path.write_bytes(content)
    again, decision = open_database(sqlite_url(path), NOW)
    assert not decision
    again.close()


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="folder"):
        open_database(sqlite_url(tmp_path / "file" / "x.db"), NOW)


def test_a_folder_in_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        open_database(sqlite_url(tmp_path), NOW)


def test_a_password_in_the_url_is_not_printed() -> None:
    database = Database("sqlite://")
    database.url = database.url.set(username="owl", password="hunter2")
    assert "hunter2" not in repr(database)
    database.close()


def test_the_schema_types_exist_in_postgresql() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    ddl = str(CreateTable(NOTES).compile(dialect=postgresql.dialect()))  # type: ignore[no-untyped-call]
    assert "at BIGINT NOT NULL" in ddl
    assert "body TEXT NOT NULL" in ddl


class Counter:
    """The smallest durable room."""

    def __init__(self) -> None:
        self.value = 0
        self.kept = 0

    @property
    def dirty(self) -> bool:
        return self.value != self.kept

    def load(self, tx: Connection, now: int) -> None:
        self.value = self.kept = tx.scalar(select(func.max(NOTES.c.id))) or 0

    def save(self, tx: Connection) -> None:
        upsert(tx, NOTES, [{"id": self.value, "at": NOW, "body": None}])

    def saved(self) -> None:
        self.kept = self.value


def test_persist_commits_only_what_changed(database: Database) -> None:
    room = Counter()
    assert isinstance(room, Durable)
    assert persist(database, [room]).why == "no state changed"
    room.value = 3
    assert persist(database, [room]).why == "committed the state of 1 room"
    assert not room.dirty
    other = Counter()
    restore(database, [other], NOW)
    assert other.value == 3


def test_persist_forgets_nothing_when_the_store_refuses(path: Path, database: Database) -> None:
    room = Counter()
    room.value = 1
    blocked = Database(sqlite_url(path), busy_timeout=1)
    with database.transaction():
        decision = persist(blocked, [room])
    assert not decision
    assert "nothing is forgotten" in decision.why
    assert persist(blocked, [room]).why == "committed the state of 1 room"
    assert not room.dirty
    blocked.close()


def test_text_columns_keep_unicode(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(text("CREATE TABLE t (v TEXT)"))
        tx.execute(insert(Table("t", MetaData(), Column("v", Text))), [{"v": "żółw 🦉"}])
        assert tx.exec_driver_sql("SELECT v FROM t").scalar() == "żółw 🦉"


def test_values_that_only_python_knows_as_json_come_back(database: Database) -> None:
    with database.transaction() as tx:
        upsert(tx, NOTES, [{"id": 1, "at": NOW, "body": {"big": 1 << 70}}])
        tx.exec_driver_sql(f"INSERT INTO notes (id, at, body) VALUES (2, {NOW}, '[NaN]')")
    with database.reading() as tx:
        big, nan = tx.execute(select(NOTES.c.body).order_by(NOTES.c.id)).scalars()
    assert big == {"big": 1 << 70}
    assert str(nan) == "[nan]"
