"""The life of alerts in the engine: Prometheus' states, errors, recording, and what survives a restart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.labels import NAME
from model.matcher import Matcher, Op
from model.moment import MINUTE, SECOND
from rules.engine import RuleEngine
from rules.files import load_rule_files
from rules.group import RuleGroup
from rules.promql.answer import Answer, Vector
from rules.promql.expression import Expression, parse
from rules.running import METRICS
from rules.settings import RuleSettings
from rules.tables import SCHEMA
from store.database import Database
from tests.rules.cluster import START, Cluster

Samples = dict[str, float]


def groups(tmp_path: Path, text: str) -> list[RuleGroup]:
    """Rule groups from the rules of one group."""
    path = tmp_path / "test.rules.yml"
    indented = "\n".join(f"    {line}" for line in text.strip("\n").splitlines())
    path.write_text(f"groups:\n- name: test\n  interval: 1s\n  rules:\n{indented}\n")
    return load_rule_files([path])


def cluster(tmp_path: Path, text: str, started_at: int = START) -> Cluster:
    return Cluster(groups=groups(tmp_path, text), started_at=started_at)


def high(value: float) -> Samples:
    return {'load{node="n1"}': value}


def alerts_recorded(it: Cluster, now: int) -> int:
    vector = parse("ALERTS").evaluate(it.window, now)
    assert isinstance(vector, Vector)
    return len(vector.labels)


def test_without_for_an_alert_fires_at_once_and_resolves_once(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: load > 1, labels: {tier: P2}}")
    now = it.run(3, lambda _: high(5))
    assert [(alert.name, alert.starts_at, alert.value) for alert in it.firing] == [("High", START, 5)]
    assert dict(it.firing[0].labels) == {"alertname": "High", "node": "n1", "tier": "P2"}
    it.run(5, lambda _: high(0), now)
    assert [(alert.ends_at, alert.starts_at) for alert in it.resolved] == [(now, START)]
    assert not it.firing


def test_pending_becomes_firing_after_for_and_a_gap_starts_anew(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: load > 1, for: 3s}")
    now = it.run(2, lambda _: high(5))
    now = it.run(1, lambda _: high(0), now)
    now = it.run(3, lambda _: high(5), now)
    assert not it.fired
    assert [active.state for active in it.engine.active()] == ["pending"]
    it.run(1, lambda _: high(5), now)
    assert [alert.starts_at for alert in it.fired] == [now]
    assert not it.resolved


def test_keep_firing_for_bridges_a_gap(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: load > 1, keep_firing_for: 3s}")
    now = it.run(1, lambda _: high(5))
    now = it.run(2, lambda _: high(0), now)
    now = it.run(1, lambda _: high(5), now)
    assert not it.resolved
    it.run(5, lambda _: high(0), now)
    assert [alert.ends_at for alert in it.resolved] == [now + 3 * SECOND]
    assert len(it.fired) == 1


def test_for_in_scrapes_counts_in_the_interval_of_each_series(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: load > 1, for: $scrapes(2)}")
    for second in range(12):
        now = START + second * SECOND
        it.write(now, {'load{node="fast"}': 5})
        if second % 5 == 0:
            it.write(now, {'load{node="slow"}': 5}, interval=5 * SECOND)
        it.step(now)
    fired = {alert.labels["node"]: alert.starts_at - START for alert in it.fired}
    assert fired == {"fast": 2 * SECOND, "slow": 10 * SECOND}


def test_labels_and_annotations_are_templates(tmp_path: Path) -> None:
    it = cluster(
        tmp_path,
        """
- alert: High
  expr: load > 1
  labels: {where: "on-{{ $labels.node }}"}
  annotations: {summary: "{{ $labels.node }} at {{ $value | humanize }}"}
""",
    )
    now = it.run(1, lambda _: high(1500))
    assert it.firing[0].labels["where"] == "on-n1"
    assert it.firing[0].annotations == {"summary": "n1 at 1.5k"}
    it.run(1, lambda _: high(2500), now)
    assert it.firing[0].annotations == {"summary": "n1 at 2.5k"}


def test_two_results_with_equal_labels_are_an_error_and_keep_the_state(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: load > 1, labels: {node: same}}")
    now = it.run(2, lambda _: high(5))
    assert len(it.firing) == 1
    now = it.run(3, lambda _: {**high(5), 'load{node="n2"}': 7}, now)
    assert len(it.firing) == 1
    assert not it.resolved
    assert it.engine.groups[0].failures == 3
    assert [record.message for record in caplog.records if "same labels" in record.message] != []
    assert sum("same labels" in record.message for record in caplog.records) == 1


def test_a_failing_rule_leaves_the_others_alone(tmp_path: Path) -> None:
    it = cluster(
        tmp_path,
        """
- {alert: Broken, expr: 'load * on (job) group_left load > 0'}
- {alert: High, expr: load > 1}
""",
    )
    it.run(1, lambda _: {**high(5), 'load{node="n2"}': 7})
    assert it.names() == {"High"}
    assert it.engine.groups[0].rules[0].error.startswith("found duplicate series")


def test_limit_is_an_error_and_no_alert_is_lost(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: load > 1}")
    it.engine.groups[0].group = RuleGroup(
        "x", "test", it.engine.groups[0].group.rules, interval=SECOND, limit=1
    )
    now = it.run(1, lambda _: high(5))
    it.run(1, lambda _: {**high(5), 'load{node="n2"}': 7}, now)
    assert len(it.firing) == 1
    assert "exceeded limit of 1 with 2 alerts" in it.engine.groups[0].rules[0].error


def test_a_recording_rule_feeds_the_next_rule_in_the_same_step(tmp_path: Path) -> None:
    it = cluster(
        tmp_path,
        """
- {record: "node:load:double", expr: load * 2, labels: {origin: test}}
- {alert: High, expr: "node:load:double > 9"}
""",
    )
    now = it.run(1, lambda _: high(5))
    assert dict(it.firing[0].labels) == {"alertname": "High", "node": "n1", "origin": "test"}
    it.run(1, lambda _: high(1), now)
    assert not it.firing


def test_a_recorded_series_ends_with_a_stale_marker(tmp_path: Path) -> None:
    it = cluster(tmp_path, '- {record: "hot", expr: load > 1}')
    now = it.run(2, lambda _: high(5))
    now = it.run(1, lambda _: high(0), now)
    vector = parse("hot").evaluate(it.window, now)
    assert isinstance(vector, Vector)
    assert not vector.labels


def test_alerts_are_series(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: load > 1, for: 2s}")
    now = it.run(4, lambda _: high(5))
    vector = parse('ALERTS{alertstate="firing"}').evaluate(it.window, now)
    assert isinstance(vector, Vector)
    assert vector.labels[0]["alertname"] == "High"
    pending = parse('ALERTS{alertstate="pending"}').evaluate(it.window, now)
    assert isinstance(pending, Vector)
    assert not pending.labels


def test_absent_waits_until_the_window_could_know(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: Missing, expr: 'absent(up{job=\"x\"})'}")
    now = it.run(299, lambda _: high(1))
    assert not it.fired
    it.run(3, lambda _: high(1), now)
    assert it.names() == {"Missing"}


def test_groups_run_at_their_interval_and_count_what_they_miss(tmp_path: Path) -> None:
    path = tmp_path / "slow.yml"
    path.write_text("groups:\n- name: slow\n  rules:\n  - {alert: A, expr: vector(1)}\n")
    settings = RuleSettings.model_validate({"evaluation_interval": "10s"})
    engine = RuleEngine(Cluster().window, load_rule_files([path]), START, settings)
    for second in (0, 1, 9, 10, 11, 45):
        engine.step(START + second * SECOND)
    [group] = engine.groups
    assert (group.evaluations, group.missed) == (3, 2)
    exported = {sample.name for sample in engine.samples()}
    assert exported == {metric.name for metric in METRICS}


RESTART = """
- {alert: High, expr: 'max_over_time(load[30s]) > 1', labels: {tier: P1}}
- {alert: Slow, expr: 'load > 1', for: 2m}
"""


def restarted(tmp_path: Path, database: Database, before: Cluster, at: int, text: str = RESTART) -> Cluster:
    """Another process with an empty window and the state that the first has saved."""
    with database.transaction() as tx:
        before.engine.save(tx)
    before.engine.saved()
    after = cluster(tmp_path, text, started_at=at)
    with database.reading() as tx:
        after.engine.load(tx, at)
    after.firing = [active.alert() for active in after.engine.active() if active.state == "firing"]
    return after


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path}/state.db")
    database.create(SCHEMA)
    return database


def test_a_restart_neither_resolves_nor_fires_again(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, RESTART)
    now = it.run(100, lambda _: high(5))
    [before] = it.firing
    assert bool(it.engine.dirty)
    after = restarted(tmp_path, database, it, now + 20 * SECOND)
    assert not it.engine.dirty
    now = after.run(10, lambda _: {}, now + 20 * SECOND)
    after.run(120, lambda _: high(5), now)
    assert not after.resolved
    assert {alert.name for alert in after.fired} == {"Slow"}
    [still] = [alert for alert in after.firing if alert.name == "High"]
    assert (still.labels, still.starts_at) == (before.labels, before.starts_at)


def test_what_was_repaired_meanwhile_resolves_after_the_hold(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, RESTART)
    now = it.run(100, lambda _: high(5))
    begin = now + MINUTE
    after = restarted(tmp_path, database, it, begin)
    after.run(120, lambda _: high(0), begin)
    [resolved] = after.resolved
    # The longest range and two scrape intervals after the target was first seen.
    assert resolved.name == "High"
    assert resolved.ends_at == begin + 32 * SECOND
    assert not list(after.engine.active())


def test_fleetowls_own_series_do_not_show_that_a_target_reports(tmp_path: Path, database: Database) -> None:
    text = "- {alert: Gone, expr: 'load == 0 and on (node) fleetowl_target_kind'}"
    kinds = {'fleetowl_target_kind{node="n1"}': 1.0}
    it = cluster(tmp_path, text)
    now = it.run(10, lambda _: {**high(0), **kinds})
    after = restarted(tmp_path, database, it, now, text)
    now = after.run(60, lambda _: kinds, now)  # the target is scraped once a minute
    after.run(3, lambda _: {**high(0), **kinds}, now)
    assert [alert.name for alert in after.firing] == ["Gone"]
    assert not after.resolved
    assert not after.fired


def test_a_target_that_never_comes_back_is_held_for_a_stated_time(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, RESTART)
    now = it.run(100, lambda _: high(5))
    after = restarted(tmp_path, database, it, now)
    after.run(302, lambda _: {'load{node="other"}': 0.0}, now)
    assert [alert.ends_at for alert in after.resolved] == [now + 5 * MINUTE]


def test_a_pending_alert_does_not_fire_from_an_empty_window(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, RESTART)
    now = it.run(100, lambda _: high(5))
    after = restarted(tmp_path, database, it, now + 5 * MINUTE)
    after.run(2, lambda _: high(5), now + 5 * MINUTE)
    assert {alert.name for alert in after.firing} == {"High"}
    after.run(2, lambda _: high(5), now + 5 * MINUTE + 2 * SECOND)
    assert {alert.name for alert in after.firing} == {"High", "Slow"}


def test_alerts_of_a_rule_that_is_gone_resolve(tmp_path: Path, database: Database) -> None:
    it = cluster(tmp_path, RESTART)
    now = it.run(10, lambda _: high(5))
    it.engine.reload(groups(tmp_path, "- {alert: Slow, expr: 'load > 1', for: 2m}"))
    it.run(1, lambda _: high(5), now)
    assert [alert.name for alert in it.resolved] == ["High"]
    assert [active.labels["alertname"] for active in it.engine.active()] == ["Slow"]
    with database.transaction() as tx:
        it.engine.save(tx)
        assert tx.exec_driver_sql("select count(*) from rules_alerts").scalar() == 1


def test_a_reload_takes_every_setting(tmp_path: Path) -> None:
    text = "- {alert: High, expr: load > 1, annotations: {link: '{{ $externalURL }}'}}"
    path = tmp_path / "test.rules.yml"
    path.write_text(f"groups:\n- name: test\n  rules:\n    {text}\n")
    it = Cluster(groups=load_rule_files([path]))
    now = it.run(11, lambda _: high(5))
    assert it.engine.groups[0].interval == 5 * SECOND
    assert alerts_recorded(it, now) == 1
    [before] = it.firing
    assert (before.annotations, before.generator_url) == ({"link": ""}, "")
    settings = RuleSettings.model_validate(
        {"evaluation_interval": "2s", "lookback": "3s", "record_alerts": False}
    )
    it.engine.reload(load_rule_files([path]), settings, "https://fleetowl.example/")
    now = it.run(2, lambda _: high(5), now)
    assert it.engine.groups[0].interval == 2 * SECOND
    assert alerts_recorded(it, now) == 0
    [after] = it.firing
    assert after.starts_at == before.starts_at
    assert after.annotations == {"link": "https://fleetowl.example/"}
    assert after.generator_url == "https://fleetowl.example/api/v1/query?query=load%20%3E%201"
    it.run(6, lambda _: {'other{node="n1"}': 1.0}, now)
    assert [alert.name for alert in it.resolved] == ["High"], "the look-back is 3s now"


def test_a_reload_changes_what_scrapes_count_in(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: High, expr: vector(5) > 1, for: $scrapes(2)}")
    it.run(20, lambda _: high(5))
    assert not it.fired
    again = groups(tmp_path, "- {alert: High, expr: vector(5) > 1, for: $scrapes(2)}")
    it.engine.reload(again, RuleSettings.model_validate({"default_scrape_interval": "10s"}))
    it.run(2, lambda _: high(5), START + 20 * SECOND)
    assert it.names() == {"High"}


def test_a_compaction_does_not_disturb_recording(tmp_path: Path) -> None:
    it = cluster(tmp_path, '- {record: "double", expr: load * 2}')
    now = it.run(5, lambda _: high(5))
    remap = it.window.compact(now + 60 * MINUTE)
    if remap is not None:
        it.engine.remap(remap)
    it._ids.clear()
    now = it.run(2, lambda _: high(6), now + 60 * MINUTE)
    vector = parse("double").evaluate(it.window, now)
    assert isinstance(vector, Vector)
    assert np.array_equal(vector.values, [12])
    (recorded,) = it.window.select([Matcher(NAME, Op.EQUAL, "double")])
    assert it.window.target_of(int(recorded.ids[0])).key.startswith("rules/"), "it was dropped and came back"


def test_a_defect_in_one_rule_is_contained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    it = cluster(tmp_path, "- {alert: Broken, expr: load > 1}\n- {alert: High, expr: load > 1}")

    def broken(*_: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr(it.engine.groups[0].rules[0].rule.expression, "evaluate", broken)
    it.run(2, lambda _: high(5))
    assert it.names() == {"High"}
    assert it.engine.groups[0].rules[0].error == "a defect in the evaluation: ZeroDivisionError: oops"
    assert it.engine.groups[0].failures == 2


def test_a_rule_without_series_is_not_evaluated_until_there_are_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    evaluate = Expression.evaluate

    def noted(self: Expression, *arguments: Any) -> Answer:
        asked.append(self.text)
        return evaluate(self, *arguments)

    monkeypatch.setattr(Expression, "evaluate", noted)
    it = cluster(tmp_path, "- {alert: High, expr: load > 1}\n- {record: late, expr: sum(load) or other}")
    now = it.run(5, lambda _: {"something": 1})
    assert sorted(asked) == ["load > 1", "sum(load) or other"]
    now = it.run(3, lambda _: high(5), now)
    assert (it.names(), len(asked)) == ({"High"}, 2 + 3 + 3)
    it.run(1, lambda _: {"other": 2}, now)
    assert asked[-1] == "sum(load) or other"


def test_what_needs_no_series_is_always_evaluated(tmp_path: Path) -> None:
    rules = f"""
- {{alert: Gone, expr: absent(load)}}
- {{alert: Late, expr: load or vector(time()) >= {START // SECOND + 2}}}
- {{alert: Now, expr: hour() >= 0}}
"""
    it = cluster(tmp_path, rules, started_at=0)
    now = it.run(2, lambda _: {"something": 1})
    assert it.names() == {"Gone", "Now"}
    it.run(2, lambda _: {"something": 1}, now)
    assert it.names() == {"Gone", "Late", "Now"}


def test_an_error_that_needs_no_series_is_one_at_each_evaluation(tmp_path: Path) -> None:
    it = cluster(tmp_path, "- {alert: Top, expr: 'topk(0 / 0, load)'}")
    it.run(3, lambda _: {"something": 1})
    assert (it.engine.groups[0].failures, it.engine.groups[0].rules[0].error) == (3, "parameter value is NaN")


def test_what_a_reload_no_longer_records_goes_stale(tmp_path: Path) -> None:
    it = cluster(tmp_path, '- {record: "kept", expr: load}\n- {record: "gone", expr: load}')
    now = it.run(3, lambda _: high(5))
    it.engine.reload(groups(tmp_path, '- {record: "kept", expr: load}'))
    it.run(1, lambda _: high(6), now)
    for name, rows in (("kept", 1), ("gone", 0)):
        vector = parse(name).evaluate(it.window, now)
        assert isinstance(vector, Vector)
        assert len(vector.labels) == rows, name


def test_a_failing_template_is_an_error_of_the_rule_and_the_alert_fires(tmp_path: Path) -> None:
    it = cluster(
        tmp_path,
        """
- alert: High
  expr: load > 1
  annotations: {summary: "{{ if gt $value 3.0 }}{{ humanize $labels.node }}{{ else }}fine{{ end }}"}
- {alert: Other, expr: load > 1}
""",
    )
    now = it.run(2, lambda _: high(5))
    rule, other = it.engine.groups[0].rules
    assert "failed: cannot use 'n1' as a number" in rule.error
    assert other.error == ""
    assert {alert.name for alert in it.firing} == {"High", "Other"}
    [summary] = [alert.annotations["summary"] for alert in it.firing if alert.name == "High"]
    assert summary == "<error expanding template: cannot use 'n1' as a number>"
    assert it.engine.groups[0].failures == 2
    now = it.run(1, lambda _: high(2), now)
    assert rule.error == ""
    it.run(1, lambda _: high(0), it.run(1, lambda _: high(5), now))
    assert rule.error == ""


def test_a_template_may_query_and_sees_what_is_now(tmp_path: Path) -> None:
    it = cluster(
        tmp_path,
        """
- alert: High
  expr: load > 1
  annotations:
    summary: "{{ range query `sum by (node) (load)` }}{{ .Labels.node }} {{ .Value }};{{ end }}"
    wrong: "{{ query `load ==` | len }}"
""",
    )
    now = it.run(1, lambda _: {**high(5), 'load{node="n2"}': 0.0})
    assert it.firing[0].annotations["summary"] == "n1 5;n2 0;"
    assert it.firing[0].annotations["wrong"].startswith("<error expanding template: query 'load =='")
    it.run(1, lambda _: {**high(5), 'load{node="n2"}': 1.0}, now)
    assert it.firing[0].annotations["summary"] == "n1 5;n2 1;"


def test_external_labels_reach_the_templates(tmp_path: Path) -> None:
    found = groups(
        tmp_path, "- {alert: A, expr: vector(1), annotations: {summary: '{{ $externalLabels.dc }}'}}"
    )
    engine = RuleEngine(Cluster().window, found, START, external_labels={"dc": "east"})
    assert engine.step(START)[0].annotations["summary"] == "east"


def test_a_rule_sees_the_alerts_of_the_rules_before_it(tmp_path: Path) -> None:
    it = cluster(
        tmp_path,
        """
- {alert: A, expr: load > 1}
- {alert: B, expr: 'ALERTS{alertname="A", alertstate="firing"}'}
""",
    )
    it.run(1, lambda _: high(5))
    assert [alert.name for alert in it.firing] == ["A", "B"]


def test_two_files_of_one_name_keep_their_alerts_apart_over_a_reload(tmp_path: Path) -> None:
    paths = []
    for folder, metric in (("a", "x"), ("b", "y")):
        (tmp_path / folder).mkdir()
        paths.append(tmp_path / folder / "same.rules.yml")
        paths[-1].write_text(
            f"groups: [{{name: g, interval: 1s, rules: [{{alert: A, expr: {metric} > 1}}]}}]"
        )
    found = load_rule_files(paths)
    it = Cluster(groups=found)
    now = it.run(2, lambda _: {'x{n="1"}': 5.0, 'y{n="2"}': 5.0})
    before = {alert.labels: alert.starts_at for alert in it.firing}
    it.engine.reload(found)
    it.run(2, lambda _: {'x{n="1"}': 5.0, 'y{n="2"}': 5.0}, now)
    assert {alert.labels: alert.starts_at for alert in it.firing} == before
    assert len(before) == 2
    assert not it.resolved
