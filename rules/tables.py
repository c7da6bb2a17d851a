"""Pending and firing alerts on the disk, and how they flap, so that a restart neither forgets nor repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import Boolean, Column, Connection, Float, MetaData, String, Table, delete, select, text

from model.labels import Labels, format_fingerprint
from rules.active import ActiveAlert
from rules.flap import Flapping
from rules.states import Step
from store.columns import Json, Moment, upsert
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
    Column("damped_since", Moment, nullable=False, server_default="0"),
)

FLAPPING = Table(
    "rules_flapping",
    METADATA,
    Column("rule", String(512), primary_key=True),
    Column("fingerprint", String(16), primary_key=True),
    Column("labels", Json, nullable=False),
    Column("changes", Json, nullable=False),
    Column("damped", Boolean, nullable=False),
)


def _add_flapping(tx: Connection) -> None:
    """Version 2: flap control. The statements stay as they are, whatever becomes of the tables above."""
    tx.execute(text("ALTER TABLE rules_alerts ADD COLUMN damped_since BIGINT NOT NULL DEFAULT 0"))
    tx.execute(
        text(
            "CREATE TABLE rules_flapping (rule VARCHAR(512) NOT NULL, fingerprint VARCHAR(16) NOT NULL, "
            "labels TEXT NOT NULL, changes TEXT NOT NULL, damped BOOLEAN NOT NULL, "
            "PRIMARY KEY (rule, fingerprint))"
        )
    )


SCHEMA = Schema("rules", 2, METADATA, {2: _add_flapping})

_Key = tuple[str, Labels]


@dataclass(slots=True)
class Unsaved:
    """What differs from the tables, by (rule key, labels)."""

    changed: dict[_Key, ActiveAlert] = field(default_factory=dict)
    gone: set[_Key] = field(default_factory=set)
    flapping: dict[_Key, Flapping | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone or self.flapping)

    def take(self, key: str, step: Step) -> None:
        """Note what an evaluation of the rule `key` did."""
        for active in step.changed:
            self.changed[key, active.labels] = active
            self.gone.discard((key, active.labels))
        for active in step.dropped:
            self.changed.pop((key, active.labels), None)
            self.gone.add((key, active.labels))
        for labels, record in step.flapping.items():
            self.flapping[key, labels] = record

    def write(self, tx: Connection) -> None:
        """Bring the tables up to date; may be repeated."""
        _delete(tx, ALERTS, self.gone)
        upsert(tx, ALERTS, [_row(key, active) for (key, _), active in self.changed.items()])
        _delete(tx, FLAPPING, [key for key, record in self.flapping.items() if record is None])
        kept = [(key, record) for key, record in self.flapping.items() if record is not None]
        upsert(tx, FLAPPING, [_flapping_row(key, record) for key, record in kept])

    def clear(self) -> None:
        """All is on the disk."""
        self.changed.clear()
        self.gone.clear()
        self.flapping.clear()


def _delete(tx: Connection, table: Table, keys: Iterable[_Key]) -> None:
    for key, labels in keys:
        where = (table.c.rule == key) & (table.c.fingerprint == format_fingerprint(labels.fingerprint))
        tx.execute(delete(table).where(where))


def restored_alerts(tx: Connection) -> Iterator[tuple[str, ActiveAlert]]:
    """The alerts of an earlier process, each with the key of its rule."""
    for row in tx.execute(select(ALERTS)):
        active = ActiveAlert(
            labels=Labels(row.labels),
            source=Labels(row.source),
            annotations=row.annotations,
            value=float("nan") if row.value is None else row.value,
            active_at=row.active_at,
            state=row.state,
            fired_at=row.fired_at,
            keep_since=row.keep_since,
            damped_since=row.damped_since,
            restored=True,
        )
        yield row.rule, active


def _row(key: str, active: ActiveAlert) -> dict[str, object]:
    return {
        "rule": key,
        "fingerprint": format_fingerprint(active.labels.fingerprint),
        "state": active.state,
        "labels": dict(active.labels),
        "source": dict(active.source),
        "annotations": dict(active.annotations),
        "value": None if active.value != active.value else active.value,
        "active_at": active.active_at,
        "fired_at": active.fired_at,
        "keep_since": active.keep_since,
        "damped_since": active.damped_since,
    }


def restored_flapping(tx: Connection) -> Iterator[tuple[str, Labels, Flapping]]:
    """How alerts flapped in an earlier process, each with the key of its rule."""
    for row in tx.execute(select(FLAPPING)):
        yield row.rule, Labels(row.labels), Flapping(row.changes, row.damped)


def _flapping_row(key: _Key, record: Flapping) -> dict[str, object]:
    rule, labels = key
    return {
        "rule": rule,
        "fingerprint": format_fingerprint(labels.fingerprint),
        "labels": dict(labels),
        "changes": record.changes,
        "damped": record.damped,
    }
