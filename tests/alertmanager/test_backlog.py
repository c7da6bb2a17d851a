"""The backlog and its journal, and who gets a place when there are too many alerts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from alertmanager.admission import Admission
from alertmanager.backlog import INTAKE, SCHEMA, Backlog, Row, append
from alertmanager.intake import encode
from model.alert import Alert
from model.labels import Labels
from store.database import Database
from store.durable import persist, restore

NOW = 1_795_000_000_000


def alert(name: str, tier: str = "P3", starts_at: int = NOW, ends_at: int | None = None) -> Alert:
    return Alert(Labels({"alertname": name, "tier": tier}), starts_at=starts_at, ends_at=ends_at)


def names(alerts: list[Alert]) -> list[str]:
    return [one.name for one in alerts]


def test_every_p0_comes_first_and_of_the_others_so_many() -> None:
    backlog = Backlog()
    backlog.add([alert(f"low{n}") for n in range(5)], 1, NOW)
    backlog.add([alert("mid", "P2"), alert("top1", "P0"), alert("top2", "P0")], 2, NOW)
    assert names(backlog.take(3)) == ["top1", "top2", "mid", "low0", "low1"]
    backlog.settle()
    assert names(backlog.take(2)) == ["low2", "low3"]
    backlog.settle()
    assert len(backlog) == 1


def test_what_waits_already_is_merged_and_keeps_its_place() -> None:
    backlog = Backlog()
    backlog.add([alert("a"), alert("b")], 1, NOW)
    backlog.add([alert("a", starts_at=NOW + 500, ends_at=NOW + 9000)], 2, NOW)
    first, second = backlog.take(9)
    assert (first.name, first.starts_at, first.ends_at) == ("a", NOW, NOW + 9000)
    assert second.name == "b"


def test_an_end_and_a_new_beginning_are_both_told() -> None:
    backlog = Backlog()
    backlog.add([alert("a", starts_at=NOW - 100, ends_at=NOW)], 1, NOW)
    backlog.add([alert("a", starts_at=NOW + 50)], 2, NOW + 50)
    assert [(one.starts_at, one.ends_at) for one in backlog.take(9)] == [(NOW - 100, NOW), (NOW + 50, None)]


def test_what_a_failed_tick_took_comes_again() -> None:
    backlog = Backlog()
    backlog.add([alert("a")], 1, NOW)
    assert names(backlog.take(9)) == ["a"]
    backlog.add([alert("a", ends_at=NOW + 5), alert("b")], 2, NOW)
    assert not backlog.dirty
    again = backlog.take(9)
    assert names(again) == ["a", "b"]
    assert again[0].ends_at == NOW + 5
    backlog.settle()
    assert backlog.dirty


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(f"sqlite:///{tmp_path}/state.db")
    made.create(SCHEMA)
    return made


def accept(database: Database, backlog: Backlog, *alerts: Alert) -> None:
    row = Row(backlog.number(), NOW, encode(alerts))
    with database.transaction() as tx:
        append(tx, [row])
    backlog.add(alerts, row.sequence, NOW)


def rows(database: Database) -> list[int]:
    with database.reading() as tx:
        return list(tx.scalars(select(INTAKE.c.sequence).order_by(INTAKE.c.sequence)))


def test_rows_go_when_all_that_was_in_them_was_processed(database: Database) -> None:
    backlog = Backlog()
    accept(database, backlog, alert("a"), alert("b"))
    accept(database, backlog, alert("b"), alert("c"))
    accept(database, backlog)
    backlog.take(1)
    assert persist(database, [backlog])
    assert rows(database) == [1, 2, 3]
    backlog.settle()
    backlog.take(1)
    backlog.settle()
    assert persist(database, [backlog])
    assert rows(database) == [2, 3]
    backlog.take(1)
    backlog.settle()
    assert persist(database, [backlog])
    assert rows(database) == []
    database.close()


def test_an_end_is_replayed_as_long_as_the_beginning_is(database: Database) -> None:
    backlog = Backlog()
    accept(database, backlog, alert("top", "P0"), alert("low"))
    backlog.take(0)
    backlog.settle()
    accept(database, backlog, alert("top", "P0", ends_at=NOW + 5))
    backlog.take(0)
    backlog.settle()
    assert persist(database, [backlog])
    again = Backlog()
    restore(database, [again], NOW)
    assert [(one.name, one.ends_at) for one in again.take(9)] == [("top", NOW + 5), ("low", None)]
    database.close()


def test_what_was_accepted_is_replayed_whole(database: Database) -> None:
    backlog = Backlog()
    long = Alert(Labels({"alertname": "a"} | {f"l{n}": "v" for n in range(200)}), {"text": "x" * 50_000}, NOW)
    accept(database, backlog, long)
    again = Backlog()
    restore(database, [again], NOW)
    assert [one.annotations for one in again.take(9)] == [long.annotations]
    database.close()


def test_what_was_accepted_and_not_processed_waits_again_after_a_crash(database: Database) -> None:
    backlog = Backlog()
    accept(database, backlog, alert("a"), alert("b", ends_at=NOW + 5))
    accept(database, backlog, alert("a", starts_at=NOW + 7), alert("top", "P0"))
    again = Backlog()
    restore(database, [again], NOW)
    assert again.number() == 3
    assert again.take(9) == backlog.take(9)
    again.settle()
    assert persist(database, [again])
    assert rows(database) == []
    database.close()


STEPS = st.lists(
    st.one_of(
        st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(["P0", "P3"])), max_size=4),
        st.sampled_from(["take", "settle"]),
    ),
    max_size=12,
)


@given(STEPS)
def test_no_row_goes_before_its_alerts_and_none_stays_after(steps: list[str | list[tuple[str, str]]]) -> None:
    backlog = Backlog()
    waiting: dict[int, set[int]] = {}
    for step in steps:
        if step == "take":
            backlog.take(1)
        elif step == "settle":
            backlog.settle()
        elif not isinstance(step, str):
            row = backlog.number()
            alerts = [alert(*one) for one in step]
            backlog.add(alerts, row, NOW)
            waiting[row] = {one.fingerprint for one in alerts}
    unsettled = {one.fingerprint for one in backlog.take(0)} | {one.fingerprint for one in backlog}
    for row in backlog._done:
        # all of this row's alerts went into a tick, though they may wait again of a later row
        assert row in waiting
    for _ in range(9):
        backlog.take(9)
        backlog.settle()
    assert backlog._done == set(waiting)
    assert unsettled <= {one for alerts in waiting.values() for one in alerts}


def admission(most: int, known: set[int] | None = None) -> Admission:
    there = known if known is not None else set()
    return Admission(most, there.__contains__)


def test_beyond_the_limit_what_is_known_is_refreshed_and_p0_is_taken() -> None:
    gate = admission(4)
    gate.seed([alert("known").fingerprint])
    assert len(gate.admit([alert("a"), alert("b"), alert("c")], "x", NOW).alerts) == 3
    found = gate.admit([alert("known"), alert("a"), alert("new"), alert("top", "P0")], "y", NOW + 1)
    assert names(found.alerts) == ["known", "a", "top"]
    assert found.refused == 1
    assert "4 alerts fire and 4 are the most (alertmanager.fleetowl.max_alerts)" in found.reason
    tops = [alert(f"top{n}", "P0") for n in range(9)]
    assert len(gate.admit(tops, "y", NOW + 2).alerts) == 3


def test_one_sender_leaves_places_for_the_others() -> None:
    gate = admission(8)
    loud = gate.admit([alert(f"a{n}") for n in range(100)], "loud", NOW)
    assert (len(loud.alerts), loud.refused) == (6, 94)
    assert "6 alerts of loud fire" in loud.reason
    assert len(gate.admit([alert("b")], "quiet", NOW).alerts) == 1


def test_places_of_alerts_that_are_gone_are_free_again() -> None:
    known: set[int] = set()
    gate = admission(2, known)
    gate.admit([alert("a")], "x", NOW)
    gate.admit([alert("b")], "y", NOW)
    known.add(alert("a").fingerprint)
    assert not gate.admit([alert("c")], "z", NOW + 1).alerts  # b may be on its way
    assert not gate.admit([alert("c")], "z", NOW + 2).alerts
    assert names(gate.admit([alert("c")], "z", NOW + 20_000).alerts) == ["c"]
    assert not gate.admit([alert("d")], "z", NOW + 20_001).alerts


def test_an_end_takes_no_place() -> None:
    gate = admission(1)
    assert not gate.admit([alert("a", ends_at=NOW)], "x", NOW).alerts
    assert gate.admit([alert("a", ends_at=NOW)], "x", NOW).refused == 0
    gate.admit([alert("a")], "x", NOW)
    assert len(gate.admit([alert("a", ends_at=NOW + 1)], "x", NOW + 1).alerts) == 1


def test_without_a_limit_nothing_is_remembered_for_ever() -> None:
    gate = admission(0)
    for batch in range(20):
        gate.admit([alert(f"{batch}/{n}") for n in range(500)], "x", NOW + batch)
    assert len(gate) <= 2500
