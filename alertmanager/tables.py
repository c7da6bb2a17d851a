"""What of this room is on disk: accepted alerts, what waits for a receiver, what receivers know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Boolean, Column, Connection, Integer, MetaData, String, Table, Text

from alertmanager.codec import (
    alert_from_json,
    alert_to_json,
    from_hex,
    hex_list,
    notification_from_json,
    notification_to_json,
)
from alertmanager.nflog import LogEntry, Told
from alertmanager.notification import Delivery, Pending
from model.alert import Alert, Tier
from model.labels import format_fingerprint
from store.columns import Json, Moment
from store.database import Schema
from store.kept import Kept

_METADATA = MetaData()

_ALERTS = Table(
    "alertmanager_alerts",
    _METADATA,
    Column("fingerprint", String(16), primary_key=True),
    Column("incident", String(64), primary_key=True),
    Column("body", Json, nullable=False),
)


def _delivery_columns() -> list[Column[Any]]:
    return [
        Column("group_key", Text, primary_key=True),
        Column("receiver", Text, primary_key=True),
        Column("integration", String(64), primary_key=True),
    ]


_PENDING = Table(
    "alertmanager_pending",
    _METADATA,
    *_delivery_columns(),
    Column("next_at", Moment, nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("body", Json, nullable=False),
)
_LOG = Table(
    "alertmanager_nflog",
    _METADATA,
    *_delivery_columns(),
    Column("firing", Json, nullable=False),
    Column("resolved", Json, nullable=False),
    Column("at", Moment, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("delivered", Boolean, nullable=False),
)

_TOLD = Table(
    "alertmanager_told",
    _METADATA,
    Column("incident", String(64), primary_key=True),
    Column("tier", Integer, nullable=False),
    Column("at", Moment, nullable=False),
)


def _add_told(tx: Connection) -> None:
    _TOLD.create(tx)


SCHEMA = Schema("alertmanager", 2, _METADATA, {2: _add_told})

EpisodeKey = tuple[int, str]
"""An alert's fingerprint and its incident: the same alert in a later incident is told of anew."""


def kept_alerts(has_ended: Callable[[Alert], bool], fires: set[EpisodeKey]) -> Kept[EpisodeKey, Alert]:
    """The accepted alerts; loading adds to `fires` those whose end had not come when they were written."""

    def body(alert: Alert) -> dict[str, Any]:
        written = alert_to_json(alert)
        if alert.ends_at is not None and not has_ended(alert):
            written["fires"] = True
        return {"body": written}

    def read(row: Any) -> tuple[EpisodeKey, Alert]:
        key = (int(row.fingerprint, 16), row.incident)
        if row.body.get("fires"):
            fires.add(key)
        return key, alert_from_json(row.body)

    return Kept(
        _ALERTS,
        key_row=lambda key: {"fingerprint": format_fingerprint(key[0]), "incident": key[1]},
        value_row=body,
        read=read,
    )


def kept_pending() -> Kept[Delivery, Pending]:
    """The notifications that were decided and not yet answered for good."""
    return Kept(
        _PENDING,
        key_row=Delivery._asdict,
        value_row=lambda pending: {
            "next_at": pending.next_at,
            "refusals": pending.refusals,
            "body": notification_to_json(pending.notification),
        },
        read=lambda row: (
            _delivery(row),
            Pending(notification_from_json(_delivery(row), row.body), row.next_at, row.refusals),
        ),
    )


def kept_log() -> Kept[Delivery, LogEntry]:
    """The notification log."""
    return Kept(
        _LOG,
        key_row=Delivery._asdict,
        value_row=lambda entry: {
            "firing": hex_list(entry.firing),
            "resolved": hex_list(entry.resolved),
            "at": entry.at,
            "sequence": entry.sequence,
            "delivered": entry.delivered,
        },
        read=lambda row: (
            _delivery(row),
            LogEntry(from_hex(row.firing), from_hex(row.resolved), row.at, row.sequence, row.delivered),
        ),
    )


def kept_told() -> Kept[str, Told]:
    """What people were told of each incident."""
    return Kept(
        _TOLD,
        key_row=lambda incident: {"incident": incident},
        value_row=lambda told: {"tier": int(told.tier), "at": told.at},
        read=lambda row: (row.incident, Told(Tier(row.tier), row.at)),
    )


def _delivery(row: Any) -> Delivery:
    return Delivery(row.group_key, row.receiver, row.integration)
