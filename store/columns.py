"""Column types and statements that mean the same in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import BigInteger, Connection, Dialect, Table, Text, TypeDecorator
from sqlalchemy.dialects import postgresql, sqlite

Moment = BigInteger
"""Milliseconds since the epoch. A 64-bit fingerprint is unsigned and does not fit: keep it as hex text."""


class Json(TypeDecorator[Any]):
    """Any JSON value, kept as text with sorted keys, so that equal values are equal bytes."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """The value as text."""
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The text as value; NULL (an outer join) as None."""
        return None if value is None else json.loads(value)


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows; where the primary key is there already, replace its other columns."""
    if not rows:
        return
    insert = postgresql.insert if tx.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = {column.name for column in table.primary_key}
    replaced = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    if replaced:
        statement = statement.on_conflict_do_update(index_elements=sorted(keys), set_=replaced)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=sorted(keys))
    tx.execute(statement, [dict(row) for row in rows])
