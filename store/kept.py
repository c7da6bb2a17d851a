"""A dictionary whose changes reach a table.

Most rooms keep a few thousand small records by key. They work on a plain dict in memory; what changed
since the last commit is written by `save` and forgotten as a change only by `saved`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, MutableMapping
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Select, Table, select

from store.columns import remove, upsert

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Kept(MutableMapping[Key, Value], Generic[Key, Value]):
    """Records by key. `key_row` and `value_row` give a record's columns, `read` the record of a row.

    Values are treated as immutable: assign a new one, or call `touch` after changing one in place.
    """

    def __init__(
        self,
        table: Table,
        key_row: Callable[[Key], Mapping[str, Any]],
        value_row: Callable[[Value], Mapping[str, Any]],
        read: Callable[[Any], tuple[Key, Value]],
    ) -> None:
        self._table = table
        self._key_row = key_row
        self._value_row = value_row
        self._read = read
        self._records: dict[Key, Value] = {}
        self._changed: set[Key] = set()

    def __getitem__(self, key: Key) -> Value:
        return self._records[key]

    def __setitem__(self, key: Key, value: Value) -> None:
        self._records[key] = value
        self._changed.add(key)

    def __delitem__(self, key: Key) -> None:
        del self._records[key]
        self._changed.add(key)

    def __iter__(self) -> Iterator[Key]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, key: object) -> bool:
        return key in self._records

    def put(self, key: Key, value: Value) -> None:
        """Replace a record without a reason to write it: the change may be lost in a crash."""
        self._records[key] = value

    def touch(self, key: Key) -> None:
        """The record of this key was changed in place."""
        self._changed.add(key)

    @property
    def dirty(self) -> bool:
        """Whether a change waits to be written."""
        return bool(self._changed)

    def evict(self, key: Key) -> None:
        """Forget a record in memory; its row stays."""
        if key not in self._changed:
            del self._records[key]

    def load(self, tx: Connection, rows: Select[Any] | None = None) -> None:
        """Replace everything by what the table holds, or by those rows of it that a query selects."""
        found = tx.execute(select(self._table) if rows is None else rows)
        self._records = dict(self._read(row) for row in found)
        self._changed = set()

    def save(self, tx: Connection) -> None:
        """Write the changed records, delete the removed ones; may be called again if the commit fails."""
        there = [key for key in self._changed if key in self._records]
        gone = [key for key in self._changed if key not in self._records]
        rows = [{**self._key_row(key), **self._value_row(self._records[key])} for key in there]
        upsert(tx, self._table, rows)
        remove(tx, self._table, [self._key_row(key) for key in gone])

    def saved(self) -> None:
        """The commit succeeded."""
        self._changed = set()
