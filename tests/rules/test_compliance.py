"""The rows of Prometheus' alert generator compliance specification 1.0 that are about rules and alerts.

github.com/prometheus/compliance, alert_generator/specification.md. The headings are the document's. Of
sending to an Alertmanager (its resend delay and its payload) nothing is here: Fleetowl has its own.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.labels import NAME, Labels
from model.moment import MINUTE, SECOND, format_moment
from rules.files import load_rule_files
from rules.group import RuleGroup
from rules.promql.answer import Vector
from rules.promql.expression import parse
from rules.settings import RuleSettings
from tests.rules.cluster import START, Cluster

STEP = 10 * SECOND
Load = Callable[[int], float | None]


def written(tmp_path: Path, text: str) -> list[RuleGroup]:
    path = tmp_path / "test.rules.yml"
    path.write_text(text)
    return load_rule_files([path])


def rules(tmp_path: Path, *lines: str, head: str = "interval: 10s") -> Cluster:
    body = "\n".join(f"  - {line}" for line in lines)
    return Cluster(written(tmp_path, f"groups:\n- name: g\n  {head}\n  rules:\n{body}\n"), interval=STEP)


class Scene:
    """A group that is evaluated every 10 s; `load` gives the value of the one series, None for none."""

    def __init__(self, it: Cluster) -> None:
        self.it = it
        self.now = START

    def run(self, steps: int, load: Load) -> None:
        for step in range(steps):
            value = load(step)
            if value is not None:
                self.it.write(self.now, {'load{node="n1"}': value})
            self.it.step(self.now)
            self.now += STEP

    def states(self) -> dict[str, str]:
        return {active.labels["alertname"]: active.state for active in self.it.engine.active()}


def series(it: Cluster, text: str, at: int) -> dict[Labels, float]:
    vector = parse(text).evaluate(it.window, at)
    assert isinstance(vector, Vector)
    return dict(zip(vector.labels, vector.values.tolist(), strict=True))


# Alerting rules: constraints.


def test_results_are_available_to_the_rules_after_in_the_same_cycle(tmp_path: Path) -> None:
    it = rules(
        tmp_path,
        "{record: doubled, expr: load * 2}",
        "{alert: Doubled, expr: doubled > 9}",
        '{alert: Meta, expr: \'ALERTS{alertname="Doubled", alertstate="firing"}\'}',
        "{alert: Early, expr: later > 1}",
        "{record: later, expr: load}",
    )
    Scene(it).run(1, lambda _: 5.0)
    assert it.names() == {"Doubled", "Meta"}, "the order is that of the file"


def test_templates_may_ask_for_what_is_not_configured(tmp_path: Path) -> None:
    text = "x{{ $externalURL }}{{ $externalLabels.dc }}{{ .ExternalURL }}y"
    it = rules(tmp_path, f"{{alert: A, expr: load, annotations: {{a: '{text}'}}}}")
    Scene(it).run(1, lambda _: 5.0)
    assert it.firing[0].annotations == {"a": "xy"}


# Executing an alerting rule: steps 1 to 4.


def test_each_element_is_a_distinct_alert_with_its_labels(tmp_path: Path) -> None:
    it = rules(tmp_path, "{alert: A, expr: my_metric > 1}")
    it.write(START, {'my_metric{status="500"}': 10, 'my_metric{status="400"}': 18})
    it.step(START)
    assert {(alert.labels["status"], alert.value) for alert in it.firing} == {("500", 10.0), ("400", 18.0)}
    assert all(NAME not in alert.labels for alert in it.firing)


def test_labels_of_the_rule_override_and_alertname_overrides_all(tmp_path: Path) -> None:
    it = rules(
        tmp_path,
        "{alert: A, expr: load, labels: {node: 'was-{{ $labels.node }}', gone: '', alertname: no}}",
        head="interval: 10s\n  labels: {node: group, team: sre}",
    )
    it.write(START, {'load{node="n1", gone="x", alertname="theirs"}': 5})
    it.step(START)
    assert dict(it.firing[0].labels) == {"alertname": "A", "node": "was-n1", "team": "sre"}


def test_equal_labels_are_an_error_that_sends_and_records_nothing(tmp_path: Path) -> None:
    it = rules(tmp_path, "{alert: A, expr: load > 1, labels: {node: same}}", "{alert: B, expr: load > 1}")
    it.write(START, {'load{node="n1"}': 5, 'load{node="n2"}': 5})
    it.step(START)
    assert it.names() == {"B"}
    assert not series(it, 'ALERTS{alertname="A"}', START)
    first, second = it.engine.document()["groups"][0]["rules"]
    assert (first["health"], second["health"]) == ("err", "ok")
    assert first["lastError"].startswith("two results have the same labels after the labels of the rule")
    assert "lastError" not in second


# pending, firing and inactive state conditions.


def test_an_alert_is_pending_until_for_has_passed(tmp_path: Path) -> None:
    scene = Scene(rules(tmp_path, "{alert: A, expr: load > 1, for: 30s, annotations: {v: '{{ $value }}'}}"))
    scene.run(3, lambda step: 5.0 + step)
    [active] = scene.it.engine.active()
    assert (active.state, active.active_at, active.annotations) == ("pending", START, {"v": "7"})
    scene.run(1, lambda _: 9.0)
    assert (active.state, active.fired_at, active.annotations) == ("firing", START + 30 * SECOND, {"v": "9"})
    scene.run(1, lambda _: 11.0)
    assert scene.it.firing[0].annotations == {"v": "11"}


def test_without_for_it_never_is_pending(tmp_path: Path) -> None:
    scene = Scene(rules(tmp_path, "{alert: A, expr: load > 1}"))
    scene.run(1, lambda _: 5.0)
    assert scene.states() == {"A": "firing"}
    assert scene.it.firing[0].starts_at == START


def test_for_below_the_interval_fires_at_the_next_evaluation(tmp_path: Path) -> None:
    scene = Scene(rules(tmp_path, "{alert: A, expr: load > 1, for: 3s}"))
    scene.run(1, lambda _: 5.0)
    assert scene.states() == {"A": "pending"}
    scene.run(1, lambda _: 5.0)
    assert scene.states() == {"A": "firing"}


def test_what_is_not_produced_is_inactive_at_once(tmp_path: Path) -> None:
    scene = Scene(rules(tmp_path, "{alert: A, expr: load > 1}", "{alert: B, expr: load > 1, for: 5m}"))
    scene.run(2, lambda _: 5.0)
    assert scene.states() == {"A": "firing", "B": "pending"}
    scene.run(1, lambda _: 0.0)
    assert scene.states() == {}
    [resolved] = scene.it.resolved
    assert (resolved.name, resolved.starts_at, resolved.ends_at) == ("A", START, START + 2 * STEP)


def test_what_comes_back_is_a_new_alert(tmp_path: Path) -> None:
    scene = Scene(rules(tmp_path, "{alert: A, expr: load > 1, for: 20s}"))
    scene.run(4, lambda _: 5.0)
    scene.run(1, lambda _: 0.0)
    scene.run(2, lambda _: 5.0)
    [active] = scene.it.engine.active()
    assert (active.state, active.active_at) == ("pending", START + 5 * STEP)
    scene.run(1, lambda _: 5.0)
    assert scene.it.firing[0].starts_at == START + 7 * STEP


# Time series to create.


def test_alerts_are_series_of_the_moment_of_the_evaluation(tmp_path: Path) -> None:
    scene = Scene(rules(tmp_path, "{alert: A, expr: load > 1, for: 20s, labels: {alertstate: odd}}"))
    scene.run(2, lambda _: 5.0)
    own = {"alertname": "A", "node": "n1"}
    pending = Labels({NAME: "ALERTS", "alertstate": "pending", **own})
    since = Labels({NAME: "ALERTS_FOR_STATE", "alertstate": "odd", **own})
    at = scene.now - STEP
    assert series(scene.it, '{__name__=~"ALERTS.*"}', at) == {pending: 1.0, since: START / 1000}
    [selection] = scene.it.window.select(parse("ALERTS").selectors[0])
    assert selection.instant(at, MINUTE)[1].tolist() == [at]
    scene.run(1, lambda _: 5.0)
    firing = Labels({NAME: "ALERTS", "alertstate": "firing", **own})
    assert series(scene.it, "ALERTS", scene.now - STEP) == {firing: 1.0}, "the pending one is stale"
    scene.run(1, lambda _: 0.0)
    assert series(scene.it, '{__name__=~"ALERTS.*"}', scene.now - STEP) == {}


def test_with_a_query_offset_the_series_lie_in_the_past_and_the_states_do_not(tmp_path: Path) -> None:
    """As rules/alerting.go has it since query_offset exists: samples at ts - offset, ActiveAt at ts."""
    it = rules(
        tmp_path,
        "{alert: A, expr: load > 1}",
        "{record: copy, expr: load}",
        head="interval: 10s\n  query_offset: 5s",
    )
    scene = Scene(it)
    scene.run(1, lambda _: 5.0)
    assert not it.firing
    scene.run(1, lambda _: 5.0)
    at = START + STEP
    assert [(alert.starts_at, alert.value) for alert in it.firing] == [(at, 5.0)]
    for name in ("ALERTS", "copy"):
        [selection] = it.window.select(parse(name).selectors[0])
        assert selection.instant(at, MINUTE)[1].tolist() == [at - 5 * SECOND]
    assert set(series(it, "ALERTS_FOR_STATE", at).values()) == {at / 1000}


# Recording rules, limits and reloads: prometheus/prometheus rules/recording.go, group.go, alerting.go.


def test_a_record_takes_the_labels_of_the_rule_over_those_of_the_group(tmp_path: Path) -> None:
    it = rules(
        tmp_path,
        "{record: copy, expr: load, labels: {node: mine, gone: ''}}",
        head="interval: 10s\n  labels: {node: group, team: sre}",
    )
    it.write(START, {'load{node="n1", gone="x"}': 5})
    it.step(START)
    assert series(it, "copy", START) == {Labels({NAME: "copy", "node": "mine", "team": "sre"}): 5.0}


def test_two_records_with_equal_labels_are_an_error_and_nothing_is_written(tmp_path: Path) -> None:
    it = rules(tmp_path, "{record: copy, expr: load, labels: {node: same}}")
    it.write(START, {'load{node="n1"}': 5, 'load{node="n2"}': 5})
    it.step(START)
    assert not series(it, "copy", START)
    assert it.engine.document()["groups"][0]["rules"][0]["health"] == "err"


def test_over_the_limit_nothing_is_recorded(tmp_path: Path) -> None:
    it = rules(tmp_path, "{record: copy, expr: load}", head="interval: 10s\n  limit: 1")
    it.write(START, {'load{node="n1"}': 5, 'load{node="n2"}': 5})
    it.step(START)
    assert not series(it, "copy", START)
    [rule] = it.engine.document()["groups"][0]["rules"]
    assert rule["lastError"] == "exceeded limit of 1 with 2 series"


def test_the_limit_counts_pending_alerts_and_those_that_are_kept(tmp_path: Path) -> None:
    """Prometheus then drops the alerts of the rule; here they stay as they were, the error is the same."""
    it = rules(tmp_path, "{alert: A, expr: load > 1, keep_firing_for: 1m}", head="interval: 10s\n  limit: 1")
    it.write(START, {'load{node="n1"}': 5, 'load{node="n2"}': 0})
    it.step(START)
    it.write(START + STEP, {'load{node="n1"}': 0, 'load{node="n2"}': 5})
    it.step(START + STEP)
    [rule] = it.engine.document()["groups"][0]["rules"]
    assert rule["lastError"] == "exceeded limit of 1 with 2 alerts"
    assert [alert.labels["node"] for alert in it.firing] == ["n1"]


def test_a_longer_for_puts_a_firing_alert_back_to_pending(tmp_path: Path) -> None:
    scene = Scene(rules(tmp_path, "{alert: A, expr: load > 1, for: 10s}"))
    scene.run(3, lambda _: 5.0)
    assert scene.states() == {"A": "firing"}
    scene.it.engine.reload(
        written(
            tmp_path,
            "groups: [{name: g, interval: 10s, rules: [{alert: A, expr: load > 1, for: 1m}]}]",
        )
    )
    scene.run(1, lambda _: 5.0)
    assert scene.states() == {"A": "pending"}
    assert [(alert.starts_at, alert.ends_at) for alert in scene.it.resolved] == [
        (START + STEP, START + 3 * STEP)
    ]
    scene.run(3, lambda _: 5.0)
    assert scene.it.firing[0].starts_at == START + MINUTE


def test_a_reload_with_the_same_for_changes_nothing(tmp_path: Path) -> None:
    text = "groups: [{name: g, interval: 10s, rules: [{alert: A, expr: load > 1, for: $scrapes(2)}]}]"
    it = Cluster(written(tmp_path, text), interval=SECOND)
    now = it.run(21, lambda _: {'load{node="n1"}': 5.0})
    it.engine.reload(written(tmp_path, text), RuleSettings.model_validate({"default_scrape_interval": "1h"}))
    it.run(21, lambda _: {'load{node="n1"}': 5.0}, now)
    assert it.names() == {"A"}
    assert not it.resolved


@pytest.mark.parametrize("late", [0, 7, 60])
def test_late_ticks_do_not_make_for_longer(tmp_path: Path, late: int) -> None:
    """The first evaluation took place `late` ms after it was due, the others in time."""
    it = rules(tmp_path, "{alert: A, expr: load > 1, for: 20s, keep_firing_for: 20s}")
    for step in range(6):
        now = START + step * STEP + (late if step in (0, 3) else 0)
        it.write(now, {'load{node="n1"}': 5.0 if step < 3 else 0.0})
        it.step(now)
        if step in (2, 4):
            assert [(alert.name, alert.starts_at) for alert in it.firing] == [("A", START + 2 * STEP)]
    assert [alert.ends_at for alert in it.resolved] == [START + 5 * STEP]


# GET /api/v1/rules.


def test_the_rules_api_has_every_key(tmp_path: Path) -> None:
    scene = Scene(
        rules(
            tmp_path,
            "{alert: A, expr: load > 1, for: 10s, keep_firing_for: 1m, labels: {severity: critical},"
            " annotations: {summary: 'at {{ $value }}'}}",
            "{record: copy, expr: load, labels: {a: b}}",
            head="interval: 10s\n  limit: 5",
        )
    )
    [group] = scene.it.engine.document()["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"unknown"}
    assert group["lastEvaluation"] == "0001-01-01T00:00:00Z"
    assert group["rules"][0]["state"] == "inactive"
    scene.run(1, lambda _: 5.0)
    assert scene.it.engine.document()["groups"][0]["rules"][0]["state"] == "pending"
    scene.run(1, lambda _: 5.0)
    scene.run(1, lambda _: 0.0)
    [group] = scene.it.engine.document()["groups"]
    last = format_moment(START + 2 * STEP)
    assert without(group, "rules", "file") == {
        "name": "g",
        "interval": 10.0,
        "limit": 5,
        "queryOffset": 0.0,
        "evaluationTime": 0.0,
        "lastEvaluation": last,
        "fleetowl": {"tier": "P1", "missed": 0, "shed": 0},
    }
    assert without(group["rules"][0], "fleetowl") == alerting(last)
    assert group["rules"][1] == {
        "type": "recording",
        "name": "copy",
        "query": "load",
        "labels": {"a": "b"},
        "health": "ok",
        "evaluationTime": 0.0,
        "lastEvaluation": last,
    }


def alerting(last: str) -> dict[str, Any]:
    """What the API says of the alerting rule above, evaluated `last`."""
    held = "its expression does not hold any more; keep_firing_for does not let it go yet"
    return {
        "type": "alerting",
        "name": "A",
        "query": "load > 1",
        "duration": 10.0,
        "keepFiringFor": 60.0,
        "labels": {"severity": "critical"},
        "annotations": {"summary": "at {{ $value }}"},
        "state": "firing",
        "health": "ok",
        "evaluationTime": 0.0,
        "lastEvaluation": last,
        "alerts": [
            {
                "labels": {"alertname": "A", "node": "n1", "severity": "critical"},
                "annotations": {"summary": "at 5"},
                "state": "firing",
                "activeAt": format_moment(START),
                "value": "5e+00",
                "keepFiringSince": last,
                "fleetowl": {"held": held},
            }
        ],
    }


def without(document: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in keys}
