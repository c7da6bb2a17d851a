"""What of this room is on disk: incidents, their timelines (append-only), the topology, the last id."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    MetaData,
    Select,
    String,
    Table,
    Text,
    bindparam,
    inspect,
    select,
    text,
    update,
)

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
    Column("told", Boolean),
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


def _told_apart(tx: Connection) -> None:
    """Version 3: that people were told is noted beside a member, which is not written again for that."""
    if "told" not in {column["name"] for column in inspect(tx).get_columns(MEMBERS.name)}:
        tx.execute(text(f"ALTER TABLE {MEMBERS.name} ADD COLUMN told BOOLEAN"))


SCHEMA = Schema("incidents", 3, _METADATA, {2: _members_apart, 3: _told_apart})

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


_TELL_ALL = update(MEMBERS).where(MEMBERS.c.incident == bindparam("of")).values(told=True)


class MemberRows:
    """The rows of the members: here is only what changed since the last commit, the incidents hold them."""

    def __init__(self) -> None:
        self._changed: dict[tuple[str, int], Member | None] = {}
        self._told: defaultdict[str, set[int]] = defaultdict(set)

    def tell(self, member: Member) -> None:
        """People were told of a member; nothing else of it has changed."""
        self._told[member.incident].add(member.fingerprint)

    def keep(self, member: Member) -> None:
        """A member is new or has changed."""
        self._changed[member.incident, member.fingerprint] = member

    def drop(self, incident: str, fingerprint: int) -> None:
        """The incident has this member no more."""
        self._changed[incident, fingerprint] = None

    @property
    def dirty(self) -> bool:
        """Whether a change waits to be written."""
        return bool(self._changed or self._told)

    def load(self, tx: Connection, incidents: Select[Any]) -> Iterator[tuple[str, Member]]:
        """The members of the incidents with these ids, each with the id."""
        self.saved()
        for row in tx.execute(select(MEMBERS).where(MEMBERS.c.incident.in_(incidents))):
            member = Member.of_document(row.document)
            if row.told:
                member.told, member.held = True, ""
            yield row.incident, member

    def save(self, tx: Connection, is_told: Callable[[str], bool]) -> None:
        """Write what changed; may be called again if the commit fails.

        `is_told` says of an incident whether people were told of all its members: it is one statement then.
        """
        changed = self._changed.items()
        rows = [
            {
                "incident": incident,
                "fingerprint": record.fingerprint,
                "document": record,
                "told": record.told,
            }
            for (incident, _), member in changed
            if member is not None and (record := member.record())
        ]
        upsert(tx, MEMBERS, rows)
        gone = [key for key, member in changed if member is None]
        keys = [{"incident": incident, "fingerprint": format_fingerprint(one)} for incident, one in gone]
        remove(tx, MEMBERS, keys)
        all_told = [{"of": incident} for incident in self._told if is_told(incident)]
        if all_told:
            tx.execute(_TELL_ALL, all_told)
        some_told = [
            {"of": incident, "one": format_fingerprint(fingerprint)}
            for incident, fingerprints in self._told.items()
            if not is_told(incident)
            for fingerprint in fingerprints
        ]
        if some_told:
            tx.execute(_TELL_ALL.where(MEMBERS.c.fingerprint == bindparam("one")), some_told)

    def saved(self) -> None:
        """The commit succeeded."""
        self._changed = {}
        self._told.clear()


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
