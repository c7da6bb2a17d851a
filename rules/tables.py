"""The table of alerts that are pending or firing, so that a restart neither forgets nor repeats them."""

from __future__ import annotations

from sqlalchemy import Column, Float, MetaData, String, Table

from store.columns import Json, Moment
from store.database import Schema

METADATA = MetaData()

ALERTS = Table(
    "rules_alerts",
    METADATA,
    Column("rule", String(512), primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    Column("state", String(8), nullable=False),
    Column("labels", Json, nullable=False),
    Column("source", Json, nullable=False),
    Column("annotations", Json, nullable=False),
    Column("value", Float, nullable=True),
    Column("active_at", Moment, nullable=False),
    Column("fired_at", Moment, nullable=False),
    Column("keep_since", Moment, nullable=False),
)

SCHEMA = Schema("rules", 1, METADATA)
