"""What is on disk of what became of alerts and notifications.

A notification is one row, however many alerts it names: their fingerprints lie packed in it, and so do
those of the alerts that one reason kept back. To find an alert, the rows of a time are searched for its
eight bytes; that is asked seldom, and written often.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Set

from sqlalchemy import Boolean, Column, Integer, LargeBinary, MetaData, String, Table, Text

from store.columns import Json, Moment
from store.database import Schema

_METADATA = MetaData()

NOTIFICATIONS = Table(
    "record_notifications",
    _METADATA,
    Column("dedup_key", String(64), primary_key=True),
    Column("group_key", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("integration", String(64), nullable=False),
    Column("at", Moment, nullable=False, index=True),
    Column("sequence", Integer, nullable=False),
    Column("tier", String(2), nullable=False),
    Column("title", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("group_labels", Json, nullable=False),
    Column("incidents", Json, nullable=False),
    Column("firing", LargeBinary, nullable=False),
    Column("resolved", LargeBinary, nullable=False),
    Column("listed", Integer, nullable=False),
)
ATTEMPTS = Table(
    "record_attempts",
    _METADATA,
    Column("dedup_key", String(64), primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False, index=True),
    Column("last_attempt", Integer, nullable=False),
    Column("last_at", Moment, nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("answer", Text, nullable=False),
    Column("follows", Text, nullable=False),
)
HOLDS = Table(
    "record_holds",
    _METADATA,
    Column("id", Moment, primary_key=True, autoincrement=False),
    Column("group_key", Text, nullable=False),
    Column("receiver", Text, nullable=False),
    Column("stage", String(32), nullable=False),
    Column("why", Text, nullable=False),
    Column("since", Moment, nullable=False),
    Column("until", Moment, index=True),
    Column("fingerprints", LargeBinary, nullable=False),
)
CHANGES = Table(
    "record_changes",
    _METADATA,
    Column("id", Moment, primary_key=True, autoincrement=False),
    Column("at", Moment, nullable=False, index=True),
    Column("fingerprints", LargeBinary, nullable=False),
    Column("body", LargeBinary, nullable=False),
)

SCHEMA = Schema("alertmanager_records", 1, _METADATA)

_WIDTH = 8


def packed(fingerprints: Iterable[int]) -> bytes:
    """Eight bytes each, the lowest first, in the order given."""
    found = array("Q", fingerprints)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tobytes()


def unpacked(data: bytes) -> list[int]:
    """The reverse of `packed`."""
    found = array("Q")
    found.frombytes(data)
    if sys.byteorder == "big":
        found.byteswap()
    return found.tolist()


def has(data: bytes, fingerprint: int) -> bool:
    """Whether a fingerprint is among those that were packed."""
    wanted = packed([fingerprint])
    place = data.find(wanted)
    while place >= 0 and place % _WIDTH:
        place = data.find(wanted, place + 1)
    return place >= 0


def has_any(data: bytes, fingerprints: Set[int]) -> bool:
    """Whether one of these is among those that were packed."""
    if len(fingerprints) > 8:
        return any(one in fingerprints for one in unpacked(data))
    return any(has(data, fingerprint) for fingerprint in fingerprints)
