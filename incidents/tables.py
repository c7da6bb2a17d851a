"""What of this room is on disk: incidents, their timelines (append-only), the topology, the last id."""

from __future__ import annotations

from sqlalchemy import Column, MetaData, String, Table, Text

from incidents.incident import Incident
from model.topology import Entity
from store.columns import Json, Moment
from store.database import Schema
from store.kept import Kept

_METADATA = MetaData()

INCIDENTS = Table(
    "incidents",
    _METADATA,
    Column("id", String(64), primary_key=True),
    Column("opened_at", Moment, nullable=False, index=True),
    Column("resolved_at", Moment, index=True),
    Column("document", Json, nullable=False),
)
TIMELINE = Table(
    "incident_timeline",
    _METADATA,
    Column("incident", String(64), primary_key=True),
    Column("sequence", Moment, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("sentence", Text, nullable=False),
)
STATE = Table(
    "incident_state",
    _METADATA,
    Column("key", String(32), primary_key=True),
    Column("value", Json, nullable=False),
)
_EDGES = Table(
    "incident_topology",
    _METADATA,
    Column("carrier_kind", String(16), primary_key=True),
    Column("carrier", String(255), primary_key=True),
    Column("carried_kind", String(16), primary_key=True),
    Column("carried", String(255), primary_key=True),
    Column("seen_at", Moment, nullable=False),
)

SCHEMA = Schema("incidents", 1, _METADATA)

Edge = tuple[Entity, Entity]


def kept_incidents() -> Kept[str, Incident]:
    """Incidents by id."""
    return Kept(
        INCIDENTS,
        key_row=lambda key: {"id": key},
        value_row=lambda incident: {
            "opened_at": incident.opened_at,
            "resolved_at": incident.resolved_at,
            "document": incident.document(),
        },
        read=lambda row: (row.id, Incident.of_document(row.document)),
    )


def kept_edges() -> Kept[Edge, int]:
    """The last time (ms) that each edge was seen."""
    return Kept(
        _EDGES,
        key_row=lambda edge: {
            "carrier_kind": edge[0].kind,
            "carrier": edge[0].name,
            "carried_kind": edge[1].kind,
            "carried": edge[1].name,
        },
        value_row=lambda seen_at: {"seen_at": seen_at},
        read=lambda row: (
            (Entity(row.carrier_kind, row.carrier), Entity(row.carried_kind, row.carried)),
            row.seen_at,
        ),
    )
