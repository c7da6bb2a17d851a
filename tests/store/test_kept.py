from __future__ import annotations

import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table

from store.columns import Json
from store.database import Database, Schema
from store.kept import Kept

METADATA = MetaData()
TABLE = Table(
    "pairs",
    METADATA,
    Column("a", String(10), primary_key=True),
    Column("b", Integer, primary_key=True),
    Column("body", Json),
)


def records() -> Kept[tuple[str, int], str]:
    return Kept(
        TABLE,
        key_row=lambda key: {"a": key[0], "b": key[1]},
        value_row=lambda value: {"body": value},
        read=lambda row: ((row.a, row.b), row.body),
    )


@pytest.fixture
def database() -> Database:
    opened = Database("sqlite://")
    opened.create(Schema("pairs", 1, METADATA))
    return opened


def reloaded(database: Database) -> dict[tuple[str, int], str]:
    again = records()
    with database.reading() as tx:
        again.load(tx)
    return dict(again)


def save(database: Database, kept: Kept[tuple[str, int], str]) -> None:
    with database.transaction() as tx:
        kept.save(tx)
    kept.saved()


def test_changes_and_removals_reach_the_table(database: Database) -> None:
    kept = records()
    kept["x", 1] = "one"
    kept["x", 2] = "two"
    save(database, kept)
    assert not kept.dirty
    del kept["x", 1]
    kept["x", 2] = "zwei"
    save(database, kept)
    assert reloaded(database) == {("x", 2): "zwei"}


def test_a_failed_commit_is_written_again(database: Database) -> None:
    kept = records()
    kept["x", 1] = "one"

    def fail() -> None:
        with database.transaction() as tx:
            kept.save(tx)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert kept.dirty
    assert reloaded(database) == {}
    save(database, kept)
    assert reloaded(database) == {("x", 1): "one"}


def test_put_alone_is_not_a_reason_to_write(database: Database) -> None:
    kept = records()
    kept["x", 1] = "one"
    save(database, kept)
    kept.put(("x", 1), "uno")
    assert not kept.dirty
    kept.touch(("x", 1))
    save(database, kept)
    assert reloaded(database) == {("x", 1): "uno"}


def test_made_and_removed_before_a_save(database: Database) -> None:
    kept = records()
    kept["x", 1] = "one"
    del kept["x", 1]
    save(database, kept)
    assert reloaded(database) == {}
    assert ("x", 1) not in kept
    assert len(kept) == 0
