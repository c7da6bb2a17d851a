"""What of this room is on disk: incidents, their timelines (append-only), the topology, the last id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Column, Connection, MetaData, Select, String, Table, Text, select

from incidents.incident import Incident
from incidents.member import Member
from model.labels import format_fingerprint
from model.topology import Entity
from store.columns import Json, Moment, remove, upsert
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
MEMBERS = Table(
    "incident_members",
    _METADATA,
    Column("incident", String(64), primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
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

_FIRST_DOCUMENTS = select(INCIDENTS.c.id, INCIDENTS.c.document)


def _members_apart(tx: Connection) -> None:
    """Version 2: members have rows of their own, so that one of 50,000 can change alone."""
    MEMBERS.create(tx, checkfirst=True)
    for found in tx.execute(_FIRST_DOCUMENTS).all():
        members = found.document.pop("members", [])
        rows = [_member_row(found.id, member) for member in members]
        if rows:
            tx.execute(MEMBERS.insert(), rows)
        statement = INCIDENTS.update().where(INCIDENTS.c.id == found.id)
        tx.execute(statement.values(document=found.document))


def _member_row(incident: str, document: dict[str, Any]) -> dict[str, Any]:
    return {"incident": incident, "fingerprint": document["fingerprint"], "document": document}


SCHEMA = Schema("incidents", 2, _METADATA, {2: _members_apart})

Edge = tuple[Entity, Entity]


def kept_incidents() -> Kept[str, Incident]:
    """Incidents by id."""
    return Kept(
        INCIDENTS,
        key_row=lambda key: {"id": key},
        value_row=lambda incident: {
            "opened_at": incident.opened_at,
            "resolved_at": incident.resolved_at,
            "document": incident.row(),
        },
        read=lambda row: (row.id, Incident.of_document(row.document)),
    )


class MemberRows:
    """The rows of the members: here is only what changed since the last commit, the incidents hold them."""

    def __init__(self) -> None:
        self._changed: dict[tuple[str, int], Member | None] = {}

    def keep(self, member: Member) -> None:
        """A member is new or has changed."""
        self._changed[member.incident, member.fingerprint] = member

    def drop(self, incident: str, fingerprint: int) -> None:
        """The incident has this member no more."""
        self._changed[incident, fingerprint] = None

    @property
    def dirty(self) -> bool:
        """Whether a change waits to be written."""
        return bool(self._changed)

    def load(self, tx: Connection, incidents: Select[Any]) -> Iterator[tuple[str, Member]]:
        """The members of the incidents with these ids, each with the id."""
        self._changed = {}
        for row in tx.execute(select(MEMBERS).where(MEMBERS.c.incident.in_(incidents))):
            yield row.incident, Member.of_document(row.document)

    def save(self, tx: Connection) -> None:
        """Write what changed; may be called again if the commit fails."""
        changed = self._changed.items()
        rows = [
            {"incident": incident, "fingerprint": record.fingerprint, "document": record}
            for (incident, _), member in changed
            if member is not None and (record := member.record())
        ]
        upsert(tx, MEMBERS, rows)
        gone = [key for key, member in changed if member is None]
        keys = [{"incident": incident, "fingerprint": format_fingerprint(one)} for incident, one in gone]
        remove(tx, MEMBERS, keys)

    def saved(self) -> None:
        """The commit succeeded."""
        self._changed = {}


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
