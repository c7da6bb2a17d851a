"""Column types and statements that mean the same in SQLite and in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Connection, Delete, Dialect, Table, Text, TypeDecorator, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

Moment = BigInteger
"""Milliseconds since the epoch. A 64-bit fingerprint is unsigned and does not fit: keep it as hex text."""

_ENCODER = msgspec.json.Encoder(order="sorted")
_DECODER = msgspec.json.Decoder()


class Json(TypeDecorator[Any]):
    """Any JSON value, kept as text with sorted keys, so that equal values are equal bytes.

    A number that JSON has not (NaN, an infinity) comes back as None: whoever has such keeps them as text.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        """The value as text."""
        try:
            return _ENCODER.encode(value).decode()
        except (TypeError, OverflowError, ValueError):  # what only Python's own encoder takes
            return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        """The text as value; NULL (an outer join) as None."""
        if value is None:
            return None
        try:
            return _DECODER.decode(value)
        except msgspec.DecodeError:  # NaN, as earlier versions wrote it
            return json.loads(value)


def upsert(tx: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert the rows; where the primary key is there already, replace its other columns."""
    if rows:
        _upsert(table, tuple(rows[0]), tx.dialect).run(tx, rows)


def remove(tx: Connection, table: Table, keys: Sequence[Mapping[str, Any]]) -> None:
    """Delete the rows with these primary keys."""
    if keys:
        _remove(table, tx.dialect).run(tx, keys)


class _Many:
    """A statement for many rows, compiled once: its values go to the driver without another look at them."""

    def __init__(self, statement: Insert | Delete, table: Table, columns: Sequence[str], dialect: Dialect):
        compiled = statement.compile(
            dialect=dialect,
            column_keys=list(columns) if isinstance(statement, Insert) else None,
        )
        self._text = str(compiled)
        self._names = tuple(compiled.positiontup or columns) if compiled.positional else None
        self._columns = [(name, _binder(table, name, dialect)) for name in self._names or columns]

    def run(self, tx: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = self._columns
        values = [[bind(row[name]) if bind else row[name] for name, bind in columns] for row in rows]
        if self._names is not None:
            tx.exec_driver_sql(self._text, [tuple(row) for row in values])
        else:
            names = [name for name, _ in columns]
            tx.exec_driver_sql(self._text, [dict(zip(names, row, strict=True)) for row in values])


def _binder(table: Table, name: str, dialect: Dialect) -> Callable[[Any], Any] | None:
    return table.c[name].type.dialect_impl(dialect).bind_processor(dialect)


@lru_cache(maxsize=256)
def _upsert(table: Table, columns: tuple[str, ...], dialect: Dialect) -> _Many:
    insert = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    statement = insert(table)
    keys = {column.name for column in table.primary_key}
    replaced = {column.name: statement.excluded[column.name] for column in table.c if column.name not in keys}
    if replaced:
        statement = statement.on_conflict_do_update(index_elements=sorted(keys), set_=replaced)
    else:
        statement = statement.on_conflict_do_nothing(index_elements=sorted(keys))
    return _Many(statement, table, columns, dialect)


@lru_cache(maxsize=256)
def _remove(table: Table, dialect: Dialect) -> _Many:
    statement = delete(table)
    keys = [column.name for column in table.primary_key]
    for column in table.primary_key:
        statement = statement.where(column == bindparam(column.name, type_=column.type))
    return _Many(statement, table, keys, dialect)
