"""What became of each alert and notification is known afterwards, also after a restart, and stays bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from alertmanager.notification import Delivery, Notification, Outcome
from alertmanager.record_rows import Hold
from alertmanager.record_tables import CHANGES, NOTIFICATIONS, SCHEMA, has, packed, unpacked
from alertmanager.records import AlertRecord, Records
from alertmanager.stages import Held
from model.alert import Alert
from model.decision import allow, refuse
from model.labels import Labels
from model.moment import HOUR, MINUTE, SECOND
from store.database import Database
from store.durable import persist, restore

T0 = 1_795_132_800_000


def alert(name: str = "A", ends_at: int | None = None, **labels: str) -> Alert:
    return Alert(Labels({"alertname": name, **labels}), starts_at=T0, ends_at=ends_at, incident="INC-1")


def notification(*alerts: Alert, key: str = "k1", at: int = T0, attempt: int = 1) -> Notification:
    return Notification(
        Delivery("{}:{}", "team", "webhook[0]"),
        Labels({"cluster": "a"}),
        alerts,
        frozenset(one.fingerprint for one in alerts if not one.resolved_at(at)),
        frozenset(one.fingerprint for one in alerts if one.resolved_at(at)),
        at,
        1,
        key,
        "the receiver has not heard of this group",
        attempt,
    )


NO = Outcome(ok=False, retry=True, answer="503")
YES = Outcome(ok=True, retry=False, answer="200 OK")


class Book:
    """Records over a database; `kept` decides whether what is asked for has been written before."""

    def __init__(self, most: int = 50_000) -> None:
        self.database = Database("sqlite://")
        self.database.create(SCHEMA)
        self.most = most
        self.records = Records(120 * HOUR, most)

    def keep(self) -> None:
        assert persist(self.database, [self.records])

    def restart(self, now: int = T0) -> None:
        self.records = Records(120 * HOUR, self.most)
        restore(self.database, [self.records], now)

    def of(self, one: Alert) -> AlertRecord:
        with self.database.reading() as tx:
            return self.records.of_alert(tx, one.fingerprint)


@pytest.fixture(params=["in memory", "written", "restarted"])
def book(request: pytest.FixtureRequest) -> Book:
    found = Book()
    write = found.keep

    def keep() -> None:
        if request.param != "in memory":
            write()
        if request.param == "restarted":
            found.restart()

    found.keep = keep  # type: ignore[method-assign]
    return found


def test_a_notification_and_its_attempts_are_found_by_alert_key_and_incident(book: Book) -> None:
    first, other = alert(node="n1"), alert(node="n2")
    told = notification(first)
    book.records.decided(told, T0)
    book.records.answered(told, NO, refuse("attempt 2 in 1s"), T0 + SECOND)
    book.records.answered(notification(first, attempt=2), YES, allow("notified"), T0 + 2 * SECOND)
    book.keep()
    (noted,) = book.of(first).notifications
    assert noted.why == "the receiver has not heard of this group"
    assert [(one.first, one.ok, one.answer, one.follows) for one in noted.attempts] == [
        (1, False, "503", "attempt 2 in 1s"),
        (2, True, "200 OK", "notified"),
    ]
    assert noted.delivered
    assert book.of(other).notifications == []
    with book.database.reading() as tx:
        assert book.records.notification(tx, "k1") == noted
        assert book.records.notification(tx, "k2") is None
        assert book.records.of_incident(tx, "INC-1") == [noted]
        assert book.records.of_incident(tx, "INC") == []


def test_equal_answers_in_a_row_are_one_line() -> None:
    book = Book()
    book.records.decided(notification(alert()), T0)
    for attempt in range(1, 40):
        book.records.answered(
            notification(alert(), attempt=attempt), NO, refuse("again"), T0 + attempt * SECOND
        )
        book.keep()
    book.records.answered(notification(alert(), attempt=40), YES, allow("told"), T0 + 40 * SECOND)
    (noted,) = book.of(alert()).notifications
    assert [(one.first, one.last, one.last_at) for one in noted.attempts] == [
        (1, 39, T0 + 39 * SECOND),
        (40, 40, T0 + 40 * SECOND),
    ]


def test_a_hold_lasts_from_its_first_flush_to_its_last(book: Book) -> None:
    first, second = alert(node="n1"), alert(node="n2")

    def held(*alerts: Alert, at: int, why: str = "rack r1 is down") -> None:
        book.records.held("g", "team", [Held(one, "topology", why) for one in alerts], T0 + at * MINUTE)
        book.keep()

    held(first, at=0)
    held(first, second, at=1)
    held(second, at=2)
    held(second, at=3, why="rack r2 is down")
    held(at=4)
    assert book.of(first).holds == [Hold("g", "team", "topology", "rack r1 is down", T0, T0 + 2 * MINUTE)]
    assert book.of(second).holds == [
        Hold("g", "team", "topology", "rack r1 is down", T0 + MINUTE, T0 + 3 * MINUTE),
        Hold("g", "team", "topology", "rack r2 is down", T0 + 3 * MINUTE, T0 + 4 * MINUTE),
    ]


@pytest.mark.parametrize("kept", [False, True])
def test_of_a_storm_only_those_that_are_asked_for_are_made(book: Book, kept: bool) -> None:
    storm = [alert(node=f"n{number}") for number in range(50)]
    book.records.changed(storm, T0)
    if kept:
        book.keep()
    wanted = {storm[7].fingerprint, storm[33].fingerprint}
    with book.database.reading() as tx:
        found = [change.labels for change in book.records.changes(tx, wanted)]
        assert found == [storm[7].labels, storm[33].labels]
        matching = book.records.changes(tx, matches=lambda labels: labels["node"] == "n9")
        assert [change.labels for change in matching] == [storm[9].labels]


def test_changes_tell_when_an_alert_began_and_ended(book: Book) -> None:
    book.records.changed([alert(), alert("B")], T0)
    book.keep()
    book.records.changed([alert(ends_at=T0 + MINUTE)], T0 + MINUTE)
    book.keep()
    changes = book.of(alert()).changes
    assert [(one.at, one.ended, one.labels.value("alertname")) for one in changes] == [
        (T0, False, "A"),
        (T0 + MINUTE, True, "A"),
    ]


def test_what_is_old_or_too_much_goes() -> None:
    book = Book(most=10)
    for number in range(22):
        now = T0 + number * HOUR
        one = alert(node=f"n{number}")
        book.records.changed([one], now)
        told = notification(one, key=f"k{number}", at=now)
        book.records.decided(told, now)
        book.records.answered(told, YES, allow("told"), now)
        book.records.held("g", "team", [Held(one, "silence", "s")], now)
        book.keep()
    with book.database.reading() as tx:
        for table in SCHEMA.metadata.tables.values():
            assert 10 <= (tx.scalar(select(func.count()).select_from(table)) or 0) <= 11, table.name
    book.records.changed([alert()], T0 + 400 * HOUR)
    book.keep()
    with book.database.reading() as tx:
        assert tx.scalar(select(func.count()).select_from(NOTIFICATIONS)) == 0
        assert tx.scalar(select(func.count()).select_from(CHANGES)) == 1


def test_a_storm_is_a_row_a_group() -> None:
    book = Book()
    alerts = [alert(node=f"n{number % 20}", gpu=str(number)) for number in range(1000)]
    book.records.changed(alerts, T0)
    for group in range(20):
        book.records.decided(notification(*alerts[group::20], key=f"k{group}"), T0)
    book.records.held("g", "team", [Held(one, "topology", "rack r1 is down") for one in alerts], T0)
    book.keep()
    with book.database.reading() as tx:
        counts = {
            name: tx.scalar(select(func.count()).select_from(table))
            for name, table in SCHEMA.metadata.tables.items()
        }
    assert counts == {
        "record_notifications": 20,
        "record_attempts": 0,
        "record_holds": 1,
        "record_changes": 1,
    }


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.integers(0, 2**64 - 1))
def test_packing(fingerprints: list[int], other: int) -> None:
    data = packed(fingerprints)
    assert unpacked(data) == fingerprints
    assert all(has(data, one) for one in fingerprints)
    assert has(data, other) == (other in fingerprints)


def test_a_fingerprint_that_begins_inside_another_is_not_there() -> None:
    assert not has(packed([0x0101010101010101, 0x0202020202020202]), 0x0202020201010101)
