"""What is evaluated first and what waits when time is short, in virtual time."""

from __future__ import annotations

import logging
from itertools import pairwise
from pathlib import Path

import pytest

from model.alert import Tier
from model.moment import MINUTE, SECOND
from rules.engine import RuleEngine
from rules.files import load_rule_files
from rules.group import RuleGroup
from rules.promql.expression import Expression
from rules.settings import RuleSettings
from rules.urgency import tiers_of
from telemetry.window import Window
from tests.rules.cluster import START


def written(tmp_path: Path, text: str) -> list[RuleGroup]:
    path = tmp_path / "test.rules.yml"
    path.write_text(text)
    return load_rule_files([path])


class Watch:
    """A stopwatch that moves on by what each evaluation costs; notes what was evaluated when."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, cost: float) -> None:
        self.seconds = 0.0
        self.cost = cost
        self.now = START
        self.ran: list[tuple[str, int]] = []
        plain = Expression.evaluate
        watch = self

        def evaluate(self: Expression, window: Window, at: int, *rest: object) -> object:
            watch.seconds += watch.cost
            watch.ran.append((self.text, watch.now - START))
            return plain(self, window, at, *rest)  # type: ignore[arg-type]

        monkeypatch.setattr(Expression, "evaluate", evaluate)

    def run(self, engine: RuleEngine, ticks: int) -> None:
        """Tick each second, later where the tick before took longer."""
        for _ in range(ticks):
            begun = self.seconds
            engine.step(self.now)
            self.now += max(SECOND, round((self.seconds - begun) * SECOND))

    def of(self, text: str) -> list[int]:
        """When (ms) an expression was evaluated."""
        return [at for ran, at in self.ran if ran == text]


def engine_of(groups: list[RuleGroup], watch: Watch, **settings: object) -> RuleEngine:
    chosen = RuleSettings.model_validate({"record_alerts": False, **settings})
    return RuleEngine(Window(), groups, START, chosen, lambda: watch.seconds)


def group(name: str, tier: str, rules: int = 1, interval: str = "1s") -> str:
    lines = [
        f"  - {{alert: {name}{number}, expr: vector({number}) == 9 or {name}, labels: {{tier: {tier}}}}}"
        for number in range(rules)
    ]
    return "\n".join([f"- name: {name}", f"  interval: {interval}", "  rules:", *lines])


def test_the_most_urgent_group_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, 0.0)
    text = "\n".join(["groups:", group("c", "P3"), group("b", "P1"), group("a", "P0"), group("d", "P2")])
    watch.run(engine_of(written(tmp_path, text), watch), 1)
    assert [ran.split()[-1] for ran, _ in watch.ran] == ["a", "b", "d", "c"]


def test_p0_keeps_its_pace_whatever_else_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 rules over 50,000 series, three times what a core can do in a second."""
    watch = Watch(monkeypatch, 0.03)
    parts = [group(f"p3n{n}", "P3", 10) for n in range(6)] + [group("p1", "P1", 20), group("p2", "P2", 10)]
    parts += [group("p0", "P0", 10)]
    engine = engine_of(written(tmp_path, "\n".join(["groups:", *parts])), watch)
    watch.run(engine, 120)
    for number in range(10):
        moments = watch.of(f"vector({number}) == 9 or p0")
        waits = [later - earlier for earlier, later in pairwise(moments)]
        assert len(moments) >= 118
        assert max(waits) <= 2 * SECOND, "never more than two intervals"
    samples = {(s.name, *s.labels.values()): s.value for s in engine.samples()}
    shed = {tier: samples["fleetowl_rule_evaluations_shed_total", tier] for tier in ("P0", "P1", "P2", "P3")}
    assert shed["P0"] == 0
    assert shed["P3"] > 0
    assert samples["fleetowl_rule_groups_missed_total", "test.rules.yml", "p0"] == 0
    assert samples["fleetowl_rule_groups_missed_total", "test.rules.yml", "p3n0"] > 0


def test_p1_is_put_off_after_p3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, 0.1)
    text = "\n".join(["groups:", group("low", "P3", 4), group("high", "P1", 4)])
    engine = engine_of(written(tmp_path, text), watch)
    watch.run(engine, 40)
    assert len(watch.of("vector(0) == 9 or high")) == 40
    assert engine.groups[1].shed == 0
    assert engine.groups[0].shed > 0


def test_who_waited_gets_its_turn_as_soon_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch, 0.2)
    text = "\n".join(
        ["groups:", group("urgent", "P1", 3, "2s"), group("one", "P3", 1), group("two", "P3", 1)]
    )
    watch.run(engine_of(written(tmp_path, text), watch), 21)
    one, two = watch.of("vector(0) == 9 or one"), watch.of("vector(0) == 9 or two")
    assert one[0] == two[0] == SECOND, "the first second went to what is urgent"
    assert min(len(one), len(two)) >= 9


def test_of_equal_urgency_who_has_waited_longest_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch, 0.3)
    text = "\n".join(["groups:", *[group(name, "P3") for name in ("one", "two", "three")]])
    watch.run(engine_of(written(tmp_path, text), watch), 30)
    assert min(len(watch.of(f"vector(0) == 9 or {name}")) for name in ("one", "two", "three")) == 15


def test_a_group_that_stops_goes_on_at_the_same_moment_and_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch(monkeypatch, 0.2)
    engine = engine_of(written(tmp_path, "groups:\n" + group("long", "P3", 7, "10s")), watch)
    watch.run(engine, 4)
    assert [at for _, at in watch.ran] == [0, 0, 0, SECOND, SECOND, SECOND, 2 * SECOND]
    assert [rule.evaluated_at for rule in engine.groups[0].rules] == [START] * 7
    assert [text.split("(")[1][0] for text, _ in watch.ran] == list("0123456")
    assert engine.groups[0].duration == pytest.approx(1.4)
    assert engine.groups[0].shed == 4, "counted once, though it waited twice"
    assert engine.groups[0].missed == 0
    assert engine.document()["groups"][0]["rules"][0]["evaluationTime"] == pytest.approx(0.2)


def test_what_is_put_off_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watch = Watch(monkeypatch, 0.2)
    engine = engine_of(written(tmp_path, "groups:\n" + group("long", "P3", 5)), watch)
    with caplog.at_level(logging.INFO):
        watch.run(engine, 30)
        assert [record.message for record in caplog.records] == [
            "the rules need more than their 0.5 s of a tick: P3 and what is less urgent waits"
        ]
        watch.cost = 0.0
        watch.run(engine, 2 * MINUTE // SECOND)
    assert len(caplog.records) == 2
    assert caplog.records[1].message.startswith("the rules keep up again; ")


def test_the_budget_is_a_share_of_the_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(monkeypatch, 0.2)
    engine = engine_of(written(tmp_path, "groups:\n" + group("long", "P3", 7)), watch, budget=0.9)
    watch.run(engine, 1)
    assert len(watch.ran) == 5


RECORDS = """
groups:
- name: fed
  rules: [{alert: Page, expr: "made > 1", labels: {tier: P0}}]
- name: feeds
  rules: [{record: made, expr: "raw * 2"}]
- name: feeds-the-feeder
  rules: [{record: raw, expr: "rawest"}]
- name: alone
  rules: [{record: other, expr: "x"}]
- name: tiered
  rules: [{record: more, expr: "x", labels: {tier: P2}}]
- name: severe
  rules: [{alert: A, expr: x, labels: {severity: critical}}, {alert: B, expr: x}]
- name: unknown
  rules: [{alert: A, expr: x, labels: {severity: "{{ $labels.severity }}"}}]
"""


def test_a_group_is_as_urgent_as_what_reads_it(tmp_path: Path) -> None:
    groups = written(tmp_path, RECORDS)
    tiers = dict(zip([group.name for group in groups], tiers_of(groups), strict=True))
    assert tiers == {
        "fed": Tier.P0,
        "feeds": Tier.P0,
        "feeds-the-feeder": Tier.P0,
        "alone": Tier.P3,
        "tiered": Tier.P2,
        "severe": Tier.P1,
        "unknown": Tier.P0,
    }


def test_a_selector_that_names_no_metric_reads_every_record(tmp_path: Path) -> None:
    text = """
groups:
- {name: a, rules: [{record: "job:x", expr: "x"}]}
- {name: b, rules: [{alert: A, expr: 'count({__name__=~"job:.*"}) > 1', labels: {tier: P1}}]}
"""
    assert tiers_of(written(tmp_path, text)) == [Tier.P1, Tier.P1]


def test_what_a_reload_no_longer_records_waits_for_all_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that another group has taken over must not end because that group had to wait."""
    watch = Watch(monkeypatch, 0.4)
    text = "groups:\n- {name: a, interval: 1s, rules: [{record: kept, expr: vector(1)}]}"
    engine = engine_of(written(tmp_path, text), watch)
    watch.run(engine, 2)
    urgent = group("urgent", "P1", 2)
    moved = f"groups:\n{urgent}\n- {{name: b, interval: 5s, rules: [{{record: kept, expr: vector(2)}}]}}"
    engine.reload(written(tmp_path, moved))
    kept = Expression("kept").selectors[0]
    for _ in range(4):
        watch.run(engine, 1)
        [selection] = engine._window.select(kept)
        _, _, present = selection.instant(watch.now, 5 * MINUTE)
        assert present.all()
    watch.cost = 0.0
    watch.run(engine, 6)
    values, _, present = engine._window.select(kept)[0].instant(watch.now, 5 * MINUTE)
    assert present.all()
    assert values.tolist() == [2.0]
