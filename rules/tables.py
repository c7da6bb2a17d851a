"""Pending and firing alerts on the disk, so that a restart neither forgets nor repeats them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlalchemy import Column, Connection, Float, MetaData, String, Table, delete, select

from model.labels import Labels, format_fingerprint
from rules.states import ActiveAlert, Step
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
)

SCHEMA = Schema("rules", 1, METADATA)


@dataclass(slots=True)
class Unsaved:
    """What differs from the table, by (rule key, labels)."""

    changed: dict[tuple[str, Labels], ActiveAlert] = field(default_factory=dict)
    gone: set[tuple[str, Labels]] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.changed or self.gone)

    def take(self, key: str, step: Step) -> None:
        """Note what an evaluation of the rule `key` did."""
        for active in step.changed:
            self.changed[key, active.labels] = active
            self.gone.discard((key, active.labels))
        for active in step.dropped:
            self.changed.pop((key, active.labels), None)
            self.gone.add((key, active.labels))

    def write(self, tx: Connection) -> None:
        """Bring the table up to date; may be repeated."""
        for key, labels in self.gone:
            where = (ALERTS.c.rule == key) & (ALERTS.c.fingerprint == format_fingerprint(labels.fingerprint))
            tx.execute(delete(ALERTS).where(where))
        upsert(tx, ALERTS, [_row(key, active) for (key, _), active in self.changed.items()])


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
    }
