"""kill -9 in the middle of commits loses nothing that was acknowledged."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import text

from store.opening import open_database, sqlite_url

WRITER = """
import sys
from sqlalchemy import Column, Integer, MetaData, Table, Text
from store.columns import upsert
from store.database import Database, Schema
metadata = MetaData()
table = Table("writes", metadata, Column("id", Integer, primary_key=True), Column("body", Text))
database = Database(sys.argv[1])
database.create(Schema("writes", 1, metadata))
first = int(sys.argv[2])
for number in range(first, first + 1_000_000):
    with database.transaction() as tx:
        upsert(tx, table, [{"id": number, "body": "x" * (number % 9000)}])
    print(number, flush=True)
"""


@pytest.mark.acceptance
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "state.db")
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(8):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, url, str(acknowledged + 1)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).resolve().parents[2],
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline()
            time.sleep(chance.uniform(0.01, 0.4))
            writer.kill()
            lines = writer.stdout.read().splitlines()
        acknowledged = max([acknowledged + 1, *(int(line) for line in lines if line)])
        database, decision = open_database(url, 0)
        with database.reading() as tx:
            kept = {row[0] for row in tx.execute(text("SELECT id FROM writes"))}
        database.close()
        assert decision
        assert kept >= set(range(1, acknowledged + 1))
        acknowledged = max(kept)
    assert acknowledged > 8
