"""The journal of accepted POSTs: one commit for all that wait, in their order; no yes without the disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from alertmanager.backlog import INTAKE, SCHEMA, Row
from analyzer.journal import MOST_BYTES, Journal
from model.alert import Alert
from store.database import Database
from store.errors import StoreUnavailable


@pytest.fixture(params=["file", "memory"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path}/state.db" if request.param == "file" else "sqlite://")
    made.create(SCHEMA)
    return made


def journal_of(database: Database) -> tuple[Journal, list[int]]:
    accepted: list[int] = []

    def accept(row: Row, alerts: Sequence[Alert]) -> None:
        accepted.append(row.sequence)

    return Journal(database, accept), accepted


def rows(database: Database) -> list[int]:
    with database.reading() as tx:
        return list(tx.scalars(select(INTAKE.c.sequence).order_by(INTAKE.c.sequence)))


async def test_what_waits_shares_a_commit_and_keeps_its_order(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits = 0
    real = Database.transaction

    def counted(self: Database) -> Any:
        nonlocal commits
        commits += 1
        return real(self)

    monkeypatch.setattr(Database, "transaction", counted)
    journal, accepted = journal_of(database)
    await asyncio.gather(*(journal.append(Row(number, 0, b"[]"), ()) for number in range(1, 31)))
    assert accepted == rows(database) == list(range(1, 31))
    assert commits <= 2
    database.close()


async def test_a_commit_takes_turns_with_the_transactions_of_the_tick(database: Database) -> None:
    journal, accepted = journal_of(database)
    writing = asyncio.gather(*(journal.append(Row(number, 0, b"[]"), ()) for number in range(1, 4)))
    for turn in range(20):  # as the tick does, in the event loop's own thread
        with database.transaction() as tx:
            tx.execute(INTAKE.insert(), [{"sequence": 1000 + turn, "at": 0, "body": b""}])
        await asyncio.sleep(0)
    await writing
    assert accepted == [1, 2, 3]
    assert len(rows(database)) == 23
    database.close()


async def test_who_is_not_on_disk_is_told_so_and_the_next_ones_are_tried(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(self: Database) -> Any:
        raise StoreUnavailable("the disk is full")

    journal, accepted = journal_of(database)
    with monkeypatch.context() as patch:
        patch.setattr(Database, "transaction", refusing)
        with pytest.raises(StoreUnavailable, match="the disk is full"):
            await journal.append(Row(1, 0, b"x" * (MOST_BYTES + 1)), ())
    assert not journal.full
    await journal.append(Row(2, 0, b"[]"), ())
    await journal.drain()
    assert accepted == rows(database) == [2]
    database.close()


async def test_what_an_asker_has_left_is_accepted_all_the_same(database: Database) -> None:
    journal, accepted = journal_of(database)
    asker = asyncio.create_task(journal.append(Row(1, 0, b"[]"), ()))
    await asyncio.sleep(0)
    asker.cancel()
    await journal.drain()
    assert accepted == rows(database) == [1]
    database.close()


async def test_a_hung_receiver_takes_no_thread_from_it(database: Database) -> None:
    hung = threading.Event()
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1))
    taken = loop.run_in_executor(None, hung.wait)
    journal, accepted = journal_of(database)
    try:
        async with asyncio.timeout(5):
            await journal.append(Row(1, 0, b"[]"), ())
    finally:
        hung.set()
    assert await taken
    assert accepted == [1]
    await journal.close()
    database.close()
