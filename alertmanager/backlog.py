"""Alerts that were accepted and wait for the tick, the most urgent first.

An accepted POST is a row of the journal before it is answered. The row goes in the same transaction in
which the state that its alerts became is written, so a process that dies in between finds it again. Rows go
in their order, each after all before it: a later one may hold the end of an alert that an earlier one
holds, which would fire anew if it were replayed without.

    backlog.add(alerts, row, now)       # the row is on disk
    alerts = backlog.take(500)          # into the tick
    backlog.settle()                    # the tick took them; the next commit deletes their rows
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Column, Connection, Integer, LargeBinary, MetaData, Table, delete, select

from alertmanager.alerts import Span, merge, spoken
from alertmanager.intake import UNLIMITED, Reader
from model.alert import Alert, Tier
from model.metric import Metric, Sample
from store.columns import Moment
from store.database import Schema

METRICS = (
    Metric(
        "fleetowl_alertmanager_backlog",
        "gauge",
        "Alerts that were accepted by API and wait for the tick.",
        ("tier",),
    ),
)

_METADATA = MetaData()
INTAKE = Table(
    "alertmanager_intake",
    _METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("at", Moment, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
SCHEMA = Schema("intake", 1, _METADATA)


@dataclass(frozen=True, slots=True)
class Row:
    """A POST as the journal keeps it: accepted at `at` (ms)."""

    sequence: int
    at: int
    body: bytes


def append(tx: Connection, rows: Sequence[Row]) -> None:
    """Put these rows into the journal."""
    values = [{"sequence": row.sequence, "at": row.at, "body": row.body} for row in rows]
    tx.execute(INTAKE.insert(), values)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An alert and the rows of the journal that it came of; before it, where it began anew, its last end."""

    alerts: tuple[Alert, ...]
    rows: tuple[int, ...]

    def joined(self, alert: Alert, rows: tuple[int, ...], now: int) -> Waiting:
        """With what came later: merged with what it overlaps, after what it does not."""
        last = self.alerts[-1]
        began_anew = last.ends_at is not None and alert.starts_at >= last.ends_at > last.starts_at
        alerts = (last, alert) if began_anew else (*self.alerts[:-1], _merged(last, alert, now))
        return Waiting(alerts, tuple(dict.fromkeys((*self.rows, *rows))))


def _merged(old: Alert, new: Alert, now: int) -> Alert:
    """Nobody times out while alerts wait here: one that says no end has none in sight."""
    before, after = (
        Span(one.starts_at, one.ends_at, sys.maxsize if one.ends_at is None else one.ends_at)
        for one in (old, new)
    )
    merged = merge(before, after, now)
    return spoken(new, old.labels, merged.starts_at, merged.ends_at)


class Backlog:
    """Waiting alerts by tier; implements Durable for the journal. An alert waits once, however often sent."""

    def __init__(self) -> None:
        self._queues: dict[Tier, dict[int, Waiting]] = {tier: {} for tier in Tier}
        self._handed: dict[int, Waiting] = {}
        self._left: dict[int, int] = {}
        self._done: set[int] = set()
        self._sequence = 0
        self._now = 0

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def __contains__(self, fingerprint: int) -> bool:
        return any(fingerprint in queue for queue in self._queues.values())

    def __iter__(self) -> Iterator[Alert]:
        return (waiting.alerts[-1] for queue in self._queues.values() for waiting in list(queue.values()))

    def number(self) -> int:
        """The next row's sequence: rows are replayed in this order."""
        self._sequence += 1
        return self._sequence

    def add(self, alerts: Iterable[Alert], row: int, now: int) -> None:
        """These wait. What waits already is merged with what came, and keeps its place."""
        self._now = now
        count = 0
        for alert in alerts:
            fingerprint = alert.fingerprint
            queue = self._queues[alert.tier]
            before = queue.get(fingerprint)
            if before is None:
                queue[fingerprint] = Waiting((alert,), (row,))
            else:
                queue[fingerprint] = before.joined(alert, (row,), now)
                if before.rows[-1] == row:
                    continue
            count += 1
        if count:
            self._left[row] = count
        else:
            self._done.add(row)

    def take(self, most: int) -> list[Alert]:
        """Every P0, and of the others the `most` that wait for longest, by urgency.

        What was taken before and not settled comes again, in front.
        """
        for tier, queue in self._queues.items():
            count = len(queue) if tier is Tier.P0 else min(most, len(queue))
            for fingerprint in list(islice(queue, count)):
                self._hand(fingerprint, queue.pop(fingerprint))
            most -= 0 if tier is Tier.P0 else count
        return [alert for waiting in self._handed.values() for alert in waiting.alerts]

    def settle(self) -> None:
        """Those that wait have seen what was taken: its rows may go with the next commit."""
        for waiting in self._handed.values():
            for row in waiting.rows:
                self._left[row] -= 1
                if not self._left[row]:
                    del self._left[row]
                    self._done.add(row)
        self._handed.clear()

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        for tier, queue in self._queues.items():
            yield Sample("fleetowl_alertmanager_backlog", {"tier": tier.name}, len(queue))

    # The journal.

    @property
    def dirty(self) -> bool:
        """Whether rows can be deleted."""
        return bool(self._deletable())

    def load(self, tx: Connection, now: int) -> None:
        """Let what was accepted and not processed wait again, in its order."""
        reader = Reader(UNLIMITED)  # what was accepted, was accepted
        for row in tx.execute(select(INTAKE).order_by(INTAKE.c.sequence)):
            self._sequence = row.sequence
            self.add(reader.read(reader.posted(row.body), row.at).alerts, row.sequence, now)

    def save(self, tx: Connection) -> None:
        """Delete the rows whose alerts have all been processed, and those of all rows before."""
        if rows := self._deletable():
            tx.execute(delete(INTAKE).where(INTAKE.c.sequence <= max(rows)))

    def saved(self) -> None:
        """The commit succeeded."""
        self._done -= self._deletable()

    def _deletable(self) -> set[int]:
        if not self._left:
            return self._done
        first = min(self._left)
        return {row for row in self._done if row < first}

    def _hand(self, fingerprint: int, waiting: Waiting) -> None:
        """It may have been taken before by a tick that failed, and come again since."""
        before = self._handed.get(fingerprint)
        if before is None:
            self._handed[fingerprint] = waiting
            return
        for alert in waiting.alerts:
            before = before.joined(alert, waiting.rows, self._now)
        self._handed[fingerprint] = before
