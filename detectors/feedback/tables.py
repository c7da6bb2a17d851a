"""What people said, on disk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, String, Table, Text

from detectors.feedback.mark import Mark
from model.labels import Labels
from store.columns import Json, Moment
from store.database import Schema
from store.kept import Kept

_METADATA = MetaData()
_MARKS = Table(
    "feedback_marks",
    _METADATA,
    Column("id", Moment, primary_key=True, autoincrement=False),
    Column("labels", Json, nullable=False),
    Column("verdict", String(8), nullable=False),
    Column("who", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("why", Text, nullable=False),
    Column("undone_at", Moment),
    Column("undone_by", Text, nullable=False),
    Column("batch", Moment, nullable=False),
)
SCHEMA = Schema("feedback", 1, _METADATA)
_AS_THEY_ARE = ("verdict", "who", "at", "why", "undone_at", "undone_by", "batch")


def kept_marks() -> Kept[int, Mark]:
    """The marks by id."""
    return Kept(
        _MARKS,
        key_row=lambda key: {"id": key},
        value_row=lambda mark: {
            "labels": dict(mark.labels),
            **{name: getattr(mark, name) for name in _AS_THEY_ARE},
        },
        read=_read,
    )


def _read(row: Any) -> tuple[int, Mark]:
    return row.id, Mark(row.id, Labels(row.labels), **{name: getattr(row, name) for name in _AS_THEY_ARE})
