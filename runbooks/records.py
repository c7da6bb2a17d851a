"""The table of runs in the state database: one JSON document a run."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, Connection, MetaData, String, Table, delete, select

from runbooks.run import Run
from store.columns import Json, Moment, upsert
from store.database import Schema

_METADATA = MetaData()

_RUNS = Table(
    "runbook_runs",
    _METADATA,
    Column("id", String(64), primary_key=True),
    Column("changed_at", Moment, nullable=False),
    Column("document", Json, nullable=False),
)

SCHEMA = Schema("runbooks", version=1, metadata=_METADATA)


def load_runs(tx: Connection) -> list[Run]:
    """Every stored run."""
    return [Run.from_document(row.document) for row in tx.execute(select(_RUNS.c.document))]


def save_runs(tx: Connection, runs: Iterable[Run], dropped: Iterable[str]) -> None:
    """Write these runs and remove the dropped ids."""
    rows = [{"id": run.id, "changed_at": run.changed_at, "document": run.document()} for run in runs]
    upsert(tx, _RUNS, rows)
    for run in dropped:
        tx.execute(delete(_RUNS).where(_RUNS.c.id == run))
