"""Keeps account of what became of alerts and notifications; explanations are made of it.

    records = Records(settings.fleetowl.log_retention)
    dispatcher = Dispatcher(settings, stages, records)
    with database.reading() as tx:
        records.of_alert(tx, fingerprint)

It hears of everything through the ledger and writes with the state of the other rooms. What it has is
bounded by time and by number; the oldest goes first.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Connection, Table, delete, func, select

from alertmanager.holds import Spell, Spells, merged
from alertmanager.notification import Delivery, Notification, Outcome
from alertmanager.record_rows import Attempts, Change, Hold, Noted
from alertmanager.record_tables import ATTEMPTS, CHANGES, HOLDS, NOTIFICATIONS, has_any, packed, unpacked
from alertmanager.stages import Held
from model.alert import Alert
from model.decision import Decision
from model.labels import Labels
from model.metric import Metric, Sample
from model.moment import HOUR
from store.columns import upsert

METRICS = (
    Metric("fleetowl_alertmanager_records_total", "counter", "Rows of account that were written.", ("kind",)),
)

MOST = 50_000
"""So many rows of each kind are kept, whatever their age."""

ANSWER = 500
"""So many characters of an answer are kept."""

_CLEAN_INTERVAL = HOUR


class AlertRecord(NamedTuple):
    """What is known of one alert, each in the order of time."""

    changes: list[Change]
    notifications: list[Noted]
    holds: list[Hold]


class Records:
    """The ledger that is kept; implements Ledger and Durable. `retention` is ms, `most` rows of each kind."""

    def __init__(self, retention: int, most: int = MOST) -> None:
        self.retention = retention
        self.written = {"notification": 0, "attempt": 0, "hold": 0, "change": 0}
        self._most = most
        self._notifications: dict[str, Notification] = {}
        self._attempts: dict[tuple[str, int], Attempts] = {}
        self._last_attempts: dict[str, Attempts] = {}
        self._changes: list[tuple[int, int, list[Alert]]] = []
        self._spells = Spells()
        self._last_change = 0
        self._now = 0
        self._cleaned_at = 0

    # The ledger.

    def changed(self, alerts: Sequence[Alert], now: int) -> None:
        """Alerts began, changed or ended."""
        if alerts:
            self._last_change += 1
            self._changes.append((self._last_change, now, list(alerts)))
            self.written["change"] += 1
            self._now = now

    def decided(self, notification: Notification, now: int) -> None:
        """A notification was decided."""
        self._notifications[notification.dedup_key] = notification
        self.written["notification"] += 1
        self._now = now

    def answered(self, notification: Notification, outcome: Outcome, decision: Decision, now: int) -> None:
        """A receiver answered; answers that are equal to the one before are counted, not kept one by one."""
        key, attempt = notification.dedup_key, notification.attempt
        answer = outcome.answer[:ANSWER]
        this = Attempts(attempt, now, attempt, now, outcome.ok, answer, str(decision)[: 2 * ANSWER])
        before = self._last_attempts.get(key)
        last = (before.joined(this) if before is not None else None) or this
        self._attempts[(key, last.first)] = last
        self.written["attempt"] += 1
        if outcome.ok:
            self._last_attempts.pop(key, None)
        else:
            self._last_attempts[key] = last
        self._now = now

    def held(self, group_key: str, receiver: str, held: Sequence[Held], now: int) -> None:
        """From now on these alerts are kept back from the group."""
        before = len(self._spells.unsaved)
        self._spells.take((group_key, receiver), held, now)
        self.written["hold"] += len(self._spells.unsaved) - before
        self._now = now

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        for kind, count in self.written.items():
            yield Sample("fleetowl_alertmanager_records_total", {"kind": kind}, count)

    # What was told, for explanations; what is not on disk yet is there too.

    def of_alert(self, tx: Connection, fingerprint: int) -> AlertRecord:
        """Everything about one alert."""
        return self.of_alerts(tx, {fingerprint})[fingerprint]

    def of_alerts(self, tx: Connection, fingerprints: Set[int]) -> dict[int, AlertRecord]:
        """Everything about each of these alerts; the tables are read once."""
        found = {fingerprint: AlertRecord([], [], []) for fingerprint in fingerprints}
        for noted in self._noted(tx, NOTIFICATIONS.c.at > self._now - self.retention, fingerprints):
            for fingerprint in fingerprints & (noted.firing | noted.resolved):
                found[fingerprint].notifications.append(noted)
        for spell in self._spells_of(tx, fingerprints):
            for fingerprint in fingerprints & spell.fingerprints:
                found[fingerprint].holds.append(spell.hold())
        for change in self.changes(tx, fingerprints):
            found[change.labels.fingerprint].changes.append(change)
        return {
            key: one._replace(holds=sorted(merged(one.holds), key=lambda hold: hold.since))
            for key, one in found.items()
        }

    def _spells_of(self, tx: Connection, fingerprints: Set[int]) -> Iterable[Spell]:
        rows = (row for row in tx.execute(select(HOLDS)) if has_any(row.fingerprints, fingerprints))
        return ({row.id: Spell.of_row(row) for row in rows} | self._spells.unsaved).values()

    def notification(self, tx: Connection, dedup_key: str) -> Noted | None:
        """One notification by its key."""
        return next(iter(self._noted(tx, NOTIFICATIONS.c.dedup_key == dedup_key, None, dedup_key)), None)

    def of_incident(self, tx: Connection, incident: str) -> list[Noted]:
        """The notifications that named an incident."""
        wanted = NOTIFICATIONS.c.incidents.contains(incident)
        return [noted for noted in self._noted(tx, wanted) if incident in noted.incidents]

    def changes(
        self,
        tx: Connection,
        fingerprints: Set[int] | None = None,
        since: int = 0,
        matches: Callable[[Mapping[str, str]], bool] | None = None,
    ) -> Iterator[Change]:
        """What began and ended since then (ms), oldest first; of these alerts, or of those that match."""
        rows = tx.execute(select(CHANGES).where(CHANGES.c.at >= since).order_by(CHANGES.c.id))
        for row in rows:
            if fingerprints is None or has_any(row.fingerprints, fingerprints):
                body = _read(row, fingerprints)
                if matches is not None:
                    body = (one for one in body if matches(dict(one[0])))
                yield from _changes_of(row.at, body)
        for _, at, alerts in self._changes:
            for alert in alerts if at >= since else ():
                if (fingerprints is None or alert.fingerprint in fingerprints) and (
                    matches is None or matches(alert.labels)
                ):
                    yield _change(at, alert)

    def _noted(
        self,
        tx: Connection,
        where: ColumnElement[bool],
        fingerprints: Set[int] | None = None,
        key: str = "",
    ) -> list[Noted]:
        found = {}
        for row in tx.execute(select(NOTIFICATIONS).where(where)):
            if fingerprints is None or has_any(row.firing + row.resolved, fingerprints):
                found[row.dedup_key] = _noted_of(row)
        for dedup_key, notification in self._notifications.items():
            if key in ("", dedup_key):
                found[dedup_key] = _noted_of(SimpleNamespace(**_row_of(notification)))
        attempts = self._attempts_of(tx, found.keys())
        noted = [replace(one, attempts=tuple(attempts.get(key, ()))) for key, one in found.items()]
        return sorted(noted, key=lambda one: (one.at, one.delivery))

    def _attempts_of(self, tx: Connection, keys: Iterable[str]) -> dict[str, list[Attempts]]:
        wanted = set(keys)
        found: dict[str, dict[int, Attempts]] = {}
        query = select(ATTEMPTS).order_by(ATTEMPTS.c.attempt)
        if len(wanted) <= 500:
            query = query.where(ATTEMPTS.c.dedup_key.in_(wanted))
        for row in tx.execute(query):
            if row.dedup_key in wanted:
                found.setdefault(row.dedup_key, {})[row.attempt] = Attempts(*row[1:])
        for (key, first), attempts in self._attempts.items():
            if key in wanted:
                found.setdefault(key, {})[first] = attempts
        return {key: [one[first] for first in sorted(one)] for key, one in found.items()}

    # The state on disk.

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return bool(self._notifications or self._attempts or self._changes or self._spells.unsaved)

    def load(self, tx: Connection, now: int) -> None:
        """Take over what has no end yet."""
        self._notifications, self._attempts, self._last_attempts, self._changes = {}, {}, {}, []
        self._last_change = tx.scalar(select(func.max(CHANGES.c.id))) or 0
        lasting = [Spell.of_row(row) for row in tx.execute(select(HOLDS).where(HOLDS.c.until.is_(None)))]
        self._spells.load(lasting, tx.scalar(select(func.max(HOLDS.c.id))) or 0)
        self._now = now

    def save(self, tx: Connection) -> None:
        """Write what is new; now and then let go of what is old."""
        upsert(tx, NOTIFICATIONS, [_row_of(one) for one in self._notifications.values()])
        upsert(tx, ATTEMPTS, [_attempt_row(key, one) for (key, _), one in self._attempts.items()])
        upsert(tx, HOLDS, [spell.row() for spell in self._spells.unsaved.values()])
        upsert(tx, CHANGES, [_changes_row(*change) for change in self._changes])
        if not 0 <= self._now - self._cleaned_at < _CLEAN_INTERVAL:
            self._cleaned_at = self._now
            self._clean(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        self._notifications, self._attempts, self._changes = {}, {}, []
        self._spells.unsaved = {}

    def _clean(self, tx: Connection) -> None:
        oldest = self._now - self.retention
        for table, column in _AGES:
            tx.execute(delete(table).where(column < oldest))
            excess = tx.scalar(select(column).order_by(column.desc()).offset(self._most).limit(1))
            if excess is not None:
                tx.execute(delete(table).where(column <= excess))
        tx.execute(delete(ATTEMPTS).where(ATTEMPTS.c.dedup_key.not_in(select(NOTIFICATIONS.c.dedup_key))))


_AGES: tuple[tuple[Table, Any], ...] = (
    (NOTIFICATIONS, NOTIFICATIONS.c.at),
    (HOLDS, HOLDS.c.since),
    (CHANGES, CHANGES.c.at),
)


def _row_of(notification: Notification) -> dict[str, Any]:
    return {
        **notification.delivery._asdict(),
        "dedup_key": notification.dedup_key,
        "at": notification.at,
        "sequence": notification.sequence,
        "tier": notification.tier.name,
        "title": _title(notification),
        "why": notification.why,
        "group_labels": dict(notification.group_labels),
        "incidents": notification.incidents,
        "firing": packed(notification.firing),
        "resolved": packed(notification.resolved),
        "listed": len(notification.alerts),
    }


def _title(notification: Notification) -> str:
    """What it is about in a line; cheaper than the line that people get, for this is written in a storm."""
    named = [brief.title for brief in notification.briefs if brief.title][:1]
    named += [alert.name for alert in notification.alerts[:1]]
    more = len(notification.alerts) - 1
    words = notification.headline or next(iter(named), "no alert")
    return f"{words} (+{more} more)" if more > 0 and not notification.headline else words


def _noted_of(row: Any) -> Noted:
    return Noted(
        delivery=Delivery(row.group_key, row.receiver, row.integration),
        at=row.at,
        sequence=row.sequence,
        dedup_key=row.dedup_key,
        tier=row.tier,
        title=row.title,
        why=row.why,
        group_labels=row.group_labels,
        incidents=tuple(row.incidents),
        firing=frozenset(unpacked(row.firing)),
        resolved=frozenset(unpacked(row.resolved)),
        listed=row.listed,
    )


def _attempt_row(key: str, attempts: Attempts) -> dict[str, Any]:
    return {
        "dedup_key": key,
        "attempt": attempts.first,
        "at": attempts.at,
        "last_attempt": attempts.last,
        "last_at": attempts.last_at,
        "ok": attempts.ok,
        "answer": attempts.answer,
        "follows": attempts.follows,
    }


def _changes_row(key: int, at: int, alerts: Sequence[Alert]) -> dict[str, Any]:
    """All alerts of one tick in one compressed body: what the labels of a storm share costs nothing."""
    body = [(one.labels.pairs, one.starts_at, one.ends_at, one.generator_url, one.incident) for one in alerts]
    return {
        "id": key,
        "at": at,
        "fingerprints": packed([alert.fingerprint for alert in alerts]),
        "body": zlib.compress(msgspec.json.encode(body), 1),
    }


def _read(row: Any, fingerprints: Set[int] | None) -> Iterator[list[Any]]:
    """The body of a row; a storm has thousands in one, and only those that are asked for are read."""
    raw = msgspec.json.decode(zlib.decompress(row.body), type=list[msgspec.Raw])
    for key, one in zip(unpacked(row.fingerprints), raw, strict=True):
        if fingerprints is None or key in fingerprints:
            yield msgspec.json.decode(one)


def _changes_of(at: int, body: Iterable[list[Any]]) -> Iterator[Change]:
    for labels, starts_at, ends_at, generator_url, incident in body:
        yield Change(
            at, Labels([(name, value) for name, value in labels]), starts_at, ends_at, generator_url, incident
        )


def _change(at: int, alert: Alert) -> Change:
    return Change(at, alert.labels, alert.starts_at, alert.ends_at, alert.generator_url, alert.incident)
