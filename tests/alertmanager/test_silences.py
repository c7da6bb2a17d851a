"""Silences: their life cycle, what they hold, what is on disk, and the index against plain matching."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertmanager.matching import LabelMatch, parse_matchers
from alertmanager.route import Route
from alertmanager.silences import (
    Draft,
    Limits,
    RefusedSilence,
    Silence,
    Silences,
    State,
    UnknownSilence,
    expressions,
)
from alertmanager.silences.index import Index
from alertmanager.silences.tables import SCHEMA
from model.alert import Alert
from model.labels import Labels
from model.matcher import Matcher, Op
from model.moment import HOUR, MINUTE
from store.database import Database
from store.durable import persist, restore
from telemetry.matching import InvalidMatcher

NOW = 1_795_000_000_000
ROUTE = Route(key="{}", receiver="team")
A1 = Alert(Labels({"alertname": "A", "node": "n1"}), starts_at=NOW)
A2 = Alert(Labels({"alertname": "A", "node": "n2"}), starts_at=NOW)


def draft(matchers: str = 'node="n1"', **keys: Any) -> Draft:
    given = {"starts_at": NOW, "ends_at": NOW + HOUR, "created_by": "me", "comment": "work", **keys}
    return Draft(tuple(parse_matchers(matchers)), **given)


def book(**limits: int) -> Silences:
    numbers = count(1)
    return Silences(Limits(**limits), new_id=lambda: f"s{next(numbers)}")


def state(silences: Silences, key: str, now: int = NOW) -> State:
    found = silences.get(key)
    assert found is not None
    return found.state(now)


def test_a_silence_holds_what_matches_while_it_lasts() -> None:
    silences = book()
    silences.set(draft(), NOW)
    said = silences.holds(A1, ROUTE, NOW)
    assert said
    assert str(said) == 'silence s1 (node="n1") by me: work, until 2026-11-18T12:06:40.000Z'
    assert not silences.holds(A2, ROUTE, NOW)
    assert silences.silenced_by(A1, NOW) == ("s1",)


def test_it_begins_and_ends_by_the_clock_and_the_version_says_so() -> None:
    silences = book()
    silences.set(draft(starts_at=NOW + MINUTE), NOW)
    waiting = silences.version
    silences.step(NOW + MINUTE - 1)
    assert silences.version == waiting
    assert not silences.holds(A1, ROUTE, NOW)
    silences.step(NOW + MINUTE)
    begun = silences.version
    assert begun != waiting
    assert silences.holds(A1, ROUTE, NOW + MINUTE)
    silences.step(NOW + HOUR)
    assert silences.version != begun
    freed = silences.holds(A1, ROUTE, NOW + HOUR)
    assert not freed
    assert str(freed) == "it is told now because silence s1 ended at 2026-11-18T12:06:40.000Z"


def test_a_clock_that_is_set_back_brings_it_back() -> None:
    silences = book()
    silences.set(draft(), NOW)
    silences.step(NOW + HOUR)
    silences.step(NOW + MINUTE)
    assert silences.holds(A1, ROUTE, NOW + MINUTE)
    silences.step(NOW + HOUR)
    assert not silences.holds(A1, ROUTE, NOW + HOUR)


def test_one_that_is_to_begin_in_the_past_begins_now() -> None:
    silences = book()
    made = silences.get(silences.set(draft(starts_at=NOW - HOUR), NOW).id)
    assert made is not None
    assert (made.starts_at, made.updated_at, state(silences, made.id)) == (NOW, NOW, State.ACTIVE)


@pytest.mark.parametrize(
    ("changed", "how"),
    [
        ({"ends_at": NOW + 2 * HOUR}, "same"),
        ({"comment": "more work"}, "same"),
        ({"ends_at": NOW + 20 * MINUTE, "starts_at": NOW + 100}, "same"),
        ({"starts_at": NOW + 5 * MINUTE}, "new"),
        ({"matchers": 'node="n2"'}, "new"),
        ({"matchers": 'node=~"n1"'}, "new"),
    ],
)
def test_an_active_silence_changes_in_place_where_it_can(changed: dict[str, Any], how: str) -> None:
    silences = book()
    silences.set(draft(), NOW)
    later = NOW + 10 * MINUTE
    new = silences.set(draft(id="s1", **changed), later).id
    assert new == ("s1" if how == "same" else "s2")
    assert state(silences, new, later) is State.ACTIVE
    assert state(silences, "s1", later) is (State.ACTIVE if how == "same" else State.EXPIRED)


def test_one_to_come_may_move_but_not_into_the_past() -> None:
    silences = book()
    silences.set(draft(starts_at=NOW + MINUTE), NOW)
    assert silences.set(draft(id="s1", starts_at=NOW + 2 * MINUTE), NOW).id == "s1"
    assert silences.set(draft(id="s1", starts_at=NOW - MINUTE), NOW).id == "s2"
    assert state(silences, "s1") is State.EXPIRED
    assert silences.holds(A1, ROUTE, NOW)


def test_an_ended_silence_cannot_be_changed_only_made_anew() -> None:
    silences = book()
    silences.set(draft(), NOW)
    silences.expire("s1", NOW + 1)
    before = silences.get("s1")
    assert silences.set(draft(id="s1"), NOW + MINUTE).id == "s2"
    assert silences.get("s1") == before


def test_expiring_is_at_once_and_may_be_repeated() -> None:
    silences = book()
    silences.set(draft(), NOW)
    silences.set(draft(starts_at=NOW + HOUR, ends_at=NOW + 2 * HOUR), NOW)
    for key in ("s1", "s2", "s2"):
        silences.expire(key, NOW + MINUTE)
        assert state(silences, key, NOW + MINUTE) is State.EXPIRED
    silences.step(NOW + HOUR + MINUTE)
    assert not silences.holds(A1, ROUTE, NOW + HOUR + MINUTE)
    with pytest.raises(UnknownSilence):
        silences.expire("s3", NOW)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (Draft((), NOW, NOW + 1, "", ""), "at least one matcher is required"),
        (draft('node=""'), "must match a non-empty value"),
        (draft('node=~".*", job=""'), "must match a non-empty value"),
        (draft(ends_at=NOW), "start time must be before end time"),
        (draft(starts_at=NOW - HOUR, ends_at=NOW - 1), "end time can't be in the past"),
        (Draft((Matcher("a", Op.MATCHES, "("),), NOW, NOW + 1, "", ""), "invalid label matcher 0: '\\('"),
        (Draft((Matcher("", Op.EQUAL, "x"),), NOW, NOW + 1, "", ""), "the label name is empty"),
        (draft(comment="x" * 2000), "and 1KiB are the most"),
    ],
)
def test_what_is_no_silence_is_refused_with_the_reason(wrong: Draft, why: str) -> None:
    silences = book(size=1024)
    with pytest.raises(RefusedSilence, match=why):
        silences.set(wrong, NOW)
    assert not len(silences)
    assert not silences.dirty


def test_a_negative_matcher_alone_is_a_silence() -> None:
    assert book().set(draft('node!="n2"'), NOW).id == "s1"


def test_there_may_not_be_more_than_the_limit_but_changes_in_place_go_on() -> None:
    silences = book(most=1)
    silences.set(draft(), NOW)
    silences.set(draft(id="s1", comment="longer"), NOW)
    with pytest.raises(RefusedSilence, match="there are 1 silences, also ended ones, and 1 are the most"):
        silences.set(draft(id="s1", matchers="a=b"), NOW)
    assert state(silences, "s1") is State.ACTIVE


def test_an_unknown_id_is_no_new_silence() -> None:
    with pytest.raises(UnknownSilence, match="there is no silence x"):
        book().set(draft(id="x"), NOW)


def test_ended_silences_are_forgotten_after_the_retention() -> None:
    silences = book(retention=HOUR)
    silences.set(draft(), NOW)
    silences.step(NOW + 2 * HOUR - 1)
    assert len(silences) == 1
    silences.step(NOW + 2 * HOUR)
    assert not len(silences)


def test_an_id_that_could_not_be_kept_is_taken_back() -> None:
    silences = book()
    silences.set(draft(), NOW)
    change = silences.set(draft(id="s1", matchers='node="n2"'), NOW)
    silences.revert(change, NOW)
    assert silences.get("s2") is None
    assert silences.silenced_by(A1, NOW) == ("s1",)
    assert not silences.silenced_by(A2, NOW)


def test_it_matches_the_tier_and_the_incident_as_routes_do() -> None:
    silences = book()
    silences.set(draft('tier="P1", incident="INC-1"'), NOW)
    labels = Labels({"alertname": "A", "severity": "critical"})
    assert silences.silenced_by(Alert(labels, incident="INC-1"), NOW) == ("s1",)
    assert not silences.silenced_by(Alert(labels, incident="INC-2"), NOW)


def test_the_list_shows_what_holds_then_what_comes_then_what_was() -> None:
    silences = book()
    for start, end in [(0, 3), (0, 2), (2, 3), (1, 3)]:
        silences.set(draft(starts_at=NOW + start * HOUR, ends_at=NOW + end * HOUR), NOW)
    silences.set(draft(), NOW)
    silences.expire("s5", NOW)
    assert [one.id for one in silences.ordered(NOW)] == ["s2", "s1", "s4", "s3", "s5"]


def test_silences_outlive_the_process(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.create(SCHEMA)
    silences = book()
    silences.set(draft('node=~"n1|n2", job!="x"', annotations={"ticket": "T-1"}), NOW)
    silences.set(draft(starts_at=NOW + MINUTE), NOW)
    assert persist(database, [silences])
    again = Silences()
    restore(database, [again], NOW + 1)
    database.close()
    assert again.ordered(NOW) == silences.ordered(NOW)
    assert again.silenced_by(A2, NOW + 1) == ("s1",)
    again.step(NOW + MINUTE)
    assert again.silenced_by(A1, NOW + MINUTE) == ("s1", "s2")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The labels that a matcher was asked about, each time."""
    questions: list[Any] = []
    real: Callable[[LabelMatch, Any], bool] = LabelMatch.__call__

    def counted(self: LabelMatch, labels: Any) -> bool:
        questions.append(labels)
        return real(self, labels)

    monkeypatch.setattr(LabelMatch, "__call__", counted)
    return questions


def test_a_thousand_silences_do_not_ask_each_alert(asked: list[Any]) -> None:
    silences = book()
    for number in range(1000):
        silences.set(draft(f'node=~"n{number}|m{number}", alertname=~".+"'), NOW)
    alerts = [Alert(Labels({"alertname": "A", "node": f"n{number}"})) for number in range(500)]
    for _ in range(3):
        assert all(silences.holds(alert, ROUTE, NOW) for alert in alerts)
    assert len(asked) == 500
    silences.set(draft('node="n1"'), NOW)
    assert len(silences.silenced_by(alerts[1], NOW)) == 2
    assert all(silences.holds(alert, ROUTE, NOW) for alert in alerts)
    assert len(asked) == 1000  # one question an alert for the one silence that is new


def test_ten_thousand_regular_expressions_do_not_ask_each_alert(asked: list[Any]) -> None:
    index = Index()
    for number in range(2_000):
        matchers = tuple(parse_matchers(f'node=~"rack{number}-.*"'))
        index.add(Silence(f"s{number}", matchers, NOW, NOW + HOUR, "me", "work", NOW))
    for number in range(100):
        key = (number, "i")
        assert index.matching(key, {"node": f"rack{number}-7"}, remember=True) == (f"s{number}",)
    assert len(asked) == 100
    index.remove("s5")
    assert index.matching((0, "other"), {"node": "rack5-7"}, remember=True) == ()
    assert len(asked) == 100


def test_where_they_cannot_be_asked_together_each_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_many(texts: Any) -> Any:
        raise InvalidMatcher("too many")

    monkeypatch.setattr(expressions, "together", too_many)
    found = expressions.Expressions()
    for number in range(40):
        found.add(f"s{number}", Matcher("node", Op.MATCHES, f"n{number}.*"))
    assert len(set(found.found({"node": "n1"}))) == 40


NAMES = st.sampled_from(["a", "b"])
VALUES = st.sampled_from(["", "1", "2", "1|2", ".+", "3|", ".*", "[12]"])
MATCHERS = st.lists(st.builds(Matcher, NAMES, st.sampled_from(Op), VALUES), min_size=1, max_size=3)
LABELS = st.dictionaries(NAMES, st.sampled_from(["1", "2", "3"]))
STEPS = st.one_of(
    st.tuples(st.just("set"), MATCHERS, st.integers(0, 3), st.integers(1, 4)),
    st.tuples(st.just("expire"), st.integers(1, 6)),
    st.tuples(st.just("wait"), st.integers(1, 3)),
)


@given(st.lists(STEPS, max_size=15), st.lists(LABELS, min_size=1, max_size=3))
def test_the_index_answers_as_asking_every_silence(steps: list[Any], labels: list[dict[str, str]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expressions, "MOST_NEW", 1)
        patch.setattr(expressions, "LARGEST", 2)
        _asked_as_naively(steps, labels)


def _asked_as_naively(steps: list[Any], labels: list[dict[str, str]]) -> None:
    silences, now = book(), NOW
    alerts = [Alert(Labels({"z": "z", **some})) for some in labels]
    for kind, *step in steps:
        try:
            if kind == "set":
                start = now + step[1] * MINUTE
                silences.set(Draft(tuple(step[0]), start, start + step[2] * MINUTE, "", ""), now)
            elif kind == "expire":
                silences.expire(f"s{step[0]}", now)
        except (RefusedSilence, UnknownSilence):
            pass
        now += step[0] * MINUTE if kind == "wait" else 0
        before = silences.version, {alert.labels: silences.silenced_by(alert, now) for alert in alerts}
        silences.step(now)
        for alert in alerts:
            assert set(silences.silenced_by(alert, now)) == _naive(silences.ordered(now), alert, now)
            if silences.version == before[0]:
                assert silences.silenced_by(alert, now) == before[1][alert.labels]


def _naive(silences: list[Silence], alert: Alert, now: int) -> set[str]:
    labels = {"tier": "P3", **alert.labels}
    return {
        one.id
        for one in silences
        if one.state(now) is State.ACTIVE and all(LabelMatch([m])(labels) for m in one.matchers)
    }


def test_what_was_found_for_other_labels_is_not_kept() -> None:
    silences = book()
    silences.set(draft('tier="P0"'), NOW)
    urgent = Alert(Labels({"alertname": "A", "severity": "critical", "tier": "P0"}), starts_at=NOW)
    implied = Alert(Labels({"alertname": "A", "severity": "critical"}), starts_at=NOW)
    silences.see(plain=False)
    tier = implied.tier.name
    silences.set(draft(f'tier="{tier}"'), NOW)
    assert silences.holds(implied, ROUTE, NOW)
    before = silences.version
    silences.see(plain=True)
    assert silences.version != before
    assert not silences.holds(implied, ROUTE, NOW)
    assert silences.holds(urgent, ROUTE, NOW)
