"""Silences on disk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Column, MetaData, String, Table, Text

from alertmanager.silences.silence import Silence
from model.matcher import Matcher, Op
from store.columns import Json, Moment
from store.database import Schema
from store.kept import Kept

_METADATA = MetaData()
_SILENCES = Table(
    "alertmanager_silences",
    _METADATA,
    Column("id", String(36), primary_key=True),
    Column("matchers", Json, nullable=False),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("annotations", Json, nullable=False),
)

SCHEMA = Schema("silences", 1, _METADATA)

_AS_THEY_ARE = ("starts_at", "ends_at", "created_by", "comment", "updated_at", "annotations")


def kept_silences() -> Kept[str, Silence]:
    """The silences by id."""
    return Kept(
        _SILENCES,
        key_row=lambda key: {"id": key},
        value_row=lambda silence: {
            "matchers": [[one.name, one.op.value, one.value] for one in silence.matchers],
            **{name: getattr(silence, name) for name in _AS_THEY_ARE},
        },
        read=_read,
    )


def _read(row: Any) -> tuple[str, Silence]:
    matchers = tuple(Matcher(name, Op(op), value) for name, op, value in row.matchers)
    return row.id, Silence(row.id, matchers, **{name: getattr(row, name) for name in _AS_THEY_ARE})
