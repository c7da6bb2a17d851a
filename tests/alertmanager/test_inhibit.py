"""Inhibition: Alertmanager's rows, and the index against a search through everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertmanager.inhibit import Inhibition
from alertmanager.route import Route
from alertmanager.settings import InhibitRuleSettings
from model.alert import Alert
from model.labels import Labels
from model.settings import load_section

NOW = 1_795_000_000_000
ROUTE = Route(key="{}", receiver="team")


def rule(**keys: Any) -> InhibitRuleSettings:
    return load_section(InhibitRuleSettings, keys, "test.yml")


def alert(ends_at: int | None = None, incident: str = "", **labels: str) -> Alert:
    return Alert(Labels(labels), starts_at=NOW - 1000, ends_at=ends_at, incident=incident)


def held(inhibition: Inhibition, target: Alert, now: int = NOW) -> bool:
    return bool(inhibition.holds(target, ROUTE, now))


S1 = rule(source_match={"s": "1"}, target_match={"t": "1"}, equal=["e"])
S1_NEW = rule(source_matchers=['s="1"'], target_matchers=["t=~1"], equal=["e"])
S2 = rule(source_matchers=["s=1"], target_matchers=['t=~".+"'], equal=["e"])
ROWS = [
    pytest.param([S1], [alert(s="1", e="1")], alert(t="1", e="1"), True, id="equal values"),
    pytest.param([S1_NEW], [alert(s="1", e="1")], alert(t="1", e="1"), True, id="matchers as of today"),
    pytest.param([S1], [alert(s="1", e="1")], alert(t="1", e="2"), False, id="other values"),
    pytest.param([S1], [alert(s="1")], alert(t="1"), True, id="a missing label is equal to a missing one"),
    pytest.param([S1], [alert(s="1")], alert(t="1", e="1"), False, id="but not to one that is there"),
    pytest.param([S1], [alert(NOW, s="1", e="1")], alert(t="1", e="1"), False, id="an ended source"),
    pytest.param([S1], [alert(NOW + 1, s="1", e="1")], alert(t="1", e="1"), True, id="its end is to come"),
    pytest.param([S1], [alert(s="1", e="1")], alert(t="0", e="1"), False, id="no target"),
    pytest.param([S1], [alert(s="1", t="1", e="1")], alert(t="1", e="1"), True, id="a source that is both"),
    pytest.param([S1], [alert(s="1", t="1", e="1")], alert(s="1", t="1", e="1"), False, id="not itself"),
    pytest.param([S2], [alert(s="1", t="1", x="2")], alert(s="1", t="1"), False, id="not its like"),
    pytest.param([S2], [alert(s="1", x="2")], alert(s="1", t="1"), True, id="but by a mere source"),
    pytest.param([rule()], [alert(s="1")], alert(t="1"), False, id="an empty rule"),
    pytest.param([], [alert(s="1")], alert(t="1"), False, id="no rule"),
    pytest.param([rule(), S1], [alert(s="1")], alert(t="1"), True, id="the second rule"),
]


@pytest.mark.parametrize(("rules", "sources", "target", "expected"), ROWS)
def test_alertmanagers_rows(
    rules: list[InhibitRuleSettings], sources: list[Alert], target: Alert, expected: bool
) -> None:
    inhibition = Inhibition(rules)
    for source in sources:
        inhibition.observe(source, NOW)
    inhibition.observe(target, NOW)
    assert held(inhibition, target) is expected


def test_the_sentence_names_the_rule_and_the_source() -> None:
    named = rule(name="node down", source_matchers=["alertname=NodeDown"], target_matchers=["a=b"])
    inhibition = Inhibition([named])
    source = alert(alertname="NodeDown", node="n1")
    inhibition.observe(source, NOW)
    said = inhibition.holds(alert(a="b"), ROUTE, NOW)
    assert str(said) == 'inhibit rule node down: the source {alertname="NodeDown", node="n1"} fires'
    assert inhibition.sources_of(alert(a="b"), NOW) == (source.fingerprint,)


def test_a_rule_without_a_name_is_known_by_its_place_and_matchers() -> None:
    inhibition = Inhibition([S1])
    inhibition.observe(alert(s="1"), NOW)
    assert 'rule 0 ({s="1"} over {t="1"})' in str(inhibition.holds(alert(t="1"), ROUTE, NOW))


def test_the_version_changes_with_the_sources_and_only_then() -> None:
    inhibition = Inhibition([S1])
    before = inhibition.version
    inhibition.observe(alert(t="1"), NOW)
    assert inhibition.version == before
    inhibition.observe(alert(s="1"), NOW)
    began = inhibition.version
    assert began != before
    inhibition.observe(alert(NOW + 5000, s="1"), NOW)
    inhibition.step(NOW + 1)
    assert inhibition.version == began
    inhibition.step(NOW + 5000)
    assert inhibition.version != began
    assert len(inhibition) == 0


def test_an_end_that_moves_ahead_is_not_taken_for_the_end() -> None:
    inhibition = Inhibition([S1])
    inhibition.observe(alert(NOW + 5000, s="1"), NOW)
    inhibition.observe(alert(NOW + 9000, s="1"), NOW + 1000)
    inhibition.step(NOW + 5000)
    assert held(inhibition, alert(t="1"), NOW + 5000)
    inhibition.step(NOW + 9000)
    assert len(inhibition) == 0


def test_an_episode_that_is_over_does_not_take_the_next_one_with_it() -> None:
    inhibition = Inhibition([S1])
    inhibition.observe(alert(s="1", incident="INC-1"), NOW)
    inhibition.observe(alert(s="1", incident="INC-2"), NOW)
    inhibition.observe(alert(NOW, s="1", incident="INC-1"), NOW)
    assert held(inhibition, alert(t="1"))


def test_other_rules_find_their_sources_among_the_alerts_that_fire() -> None:
    inhibition = Inhibition([])
    firing = [alert(s="1"), alert(NOW, s="1", e="1")]
    inhibition.reconfigure([S1], firing, NOW)
    assert held(inhibition, alert(t="1"))
    assert not held(inhibition, alert(t="1", e="1"))
    inhibition.reconfigure([], firing, NOW)
    assert not held(inhibition, alert(t="1"))


VALUES = st.sampled_from(["", "1", "2"])
ALERTS = st.builds(
    lambda s, t, e, f, end: Alert(Labels({"s": s, "t": t, "e": e, "f": f, "z": "z"}), ends_at=end),
    *[VALUES] * 4,
    st.sampled_from([None, NOW - 1, NOW + 10]),
)
SIDES = st.dictionaries(st.sampled_from(["s", "t"]), VALUES, max_size=2)
RULES = st.builds(
    lambda source, target, equal: rule(source_match=source, target_match=target, equal=equal),
    SIDES,
    SIDES,
    st.lists(st.sampled_from(["e", "f"]), unique=True),
)


def naive(rules: list[InhibitRuleSettings], alerts: list[Alert], target: Alert) -> bool:
    """What the documentation says, by looking at everything."""

    def fits(match: dict[str, str], one: Alert) -> bool:
        return all(one.labels.value(name) == value for name, value in match.items())

    return any(
        fits(one.target_match, target)
        and fits(one.source_match, source)
        and not source.resolved_at(NOW)
        and all(source.labels.value(name) == target.labels.value(name) for name in one.equal)
        and not (fits(one.source_match, target) and fits(one.target_match, source))
        for one in rules
        for source in alerts
    )


@given(st.lists(RULES, max_size=3), st.lists(ALERTS, max_size=12), ALERTS)
def test_the_index_answers_as_a_search_through_everything(
    rules: list[InhibitRuleSettings], alerts: list[Alert], target: Alert
) -> None:
    inhibition = Inhibition(rules)
    for one in alerts:
        inhibition.observe(one, NOW)
    latest = list({one.fingerprint: one for one in alerts}.values())
    assert held(inhibition, target) is naive(rules, latest, target)
    assert bool(inhibition.sources_of(target, NOW)) is held(inhibition, target)
