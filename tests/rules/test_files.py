"""Rule files: what loads, and that everything wrong is said at once with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from model.moment import MINUTE, SECOND
from model.settings import ConfigurationError
from rules.check import Counts, check_paths
from rules.files import load_rule_file, load_rule_files
from rules.group import AlertRule, RecordingRule
from rules.promql.scrapes import Span

GOOD = """
groups:
- name: g
  interval: 30s
  query_offset: 5s
  limit: 10
  labels: {team: sre, tier: P3}
  rules:
  - record: job:up:sum
    expr: sum by (job) (up)
  - alert: Down
    expr: up == 0
    for: $scrapes(2)
    keep_firing_for: 1m
    labels: {tier: P1}
    annotations: {summary: "{{ $labels.instance }} is down"}
"""


def written(tmp_path: Path, text: str, name: str = "a.rules.yml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def problems(*paths: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_rule_files(paths)
    return [str(problem) for problem in caught.value.problems]


def test_all_fields_of_the_format(tmp_path: Path) -> None:
    [group] = load_rule_file(written(tmp_path, GOOD))
    assert (group.name, group.interval, group.query_offset, group.limit) == ("g", 30 * SECOND, 5 * SECOND, 10)
    record, alert = group.rules
    assert isinstance(record, RecordingRule)
    assert (record.name, dict(record.labels)) == ("job:up:sum", {"team": "sre", "tier": "P3"})
    assert isinstance(alert, AlertRule)
    assert (alert.hold, alert.keep_firing_for) == (Span(scrapes=2), Span(fixed=MINUTE))
    assert {name: template.text for name, template in alert.labels.items()} == {"team": "sre", "tier": "P1"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("groups:\n- {name: g, rule: []}", "groups[0].rule: unknown key (did you mean rules?)"),
        ("groups:\n- {rules: []}", "groups[0].name: is required"),
        ("rules: []", "is no rule file, it has rules (a rule file starts with `groups:` and a list)"),
        ("group: []", "is no rule file, it has group (did you mean groups?)"),
        ("groups: []\nrules: []", "rules: unknown key (known keys: groups)"),
        ("groups: {}", "groups: must be a list"),
        ("", "is empty"),
        ("tests: []", "is a file of unit tests, no rule file (run `fleetowl rules test"),
        ("kind: ServiceMonitor", "is no rule file, it holds ServiceMonitor"),
        ("kind: List", "is no rule file, it holds an empty list"),
        ("kind: PrometheusRule", "spec: is required"),
        ("kind: PrometheusRule\nspec: {group: []}", "spec.group: unknown key"),
        (
            "kind: PrometheusRule\nspec: {groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]}",
            "rule 1 A.expr",
        ),
        ("[1]", "is no rule file"),
        ("groups:\n- name: g\n  name: h", "line 3: is not YAML: the key 'name' stands twice"),
        ("groups:\n- {name: g}\n- {name: g}", "group g: the name stands twice in this file"),
        ("groups: [{name: g, rules: [{alert: A, expr: up}]", "is not YAML"),
    ],
)
def test_a_broken_file(tmp_path: Path, text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(written(tmp_path, text)))


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("{alert: A, record: b, expr: up}", "must have exactly one of `record` and `alert`"),
        ("{expr: up}", "must have exactly one of `record` and `alert`"),
        ("{alert: A}", "rule 1 A.expr: is required"),
        ("{alert: A, expr: 'up =='}", "rule 1 A.expr: "),
        ("{alert: A, expr: 'rate(up)'}", "expected type matrix in call to function 'rate'"),
        (
            "{alert: A, expr: 'info(up)'}",
            "the function info is not supported",
        ),
        ("{alert: A, expr: up, fro: 5m}", "fro: unknown key (did you mean for?)"),
        ("{alert: A, expr: up, for: 5 minutes}", "'5 minutes' is not a duration"),
        ("{alert: A, expr: up, labels: {__name__: x}}", "'__name__' cannot be set by a rule"),
        ("{alert: A, expr: up, annotations: {summary: '{{ $labels.x | nope }}'}}", "annotations.summary: "),
        ("{record: a-b, expr: up}", "'a-b' is not a metric name"),
        ("{record: b, expr: up, for: 1m}", "a recording rule has no `for`"),
        ("{record: b, expr: up, annotations: {a: b}}", "a recording rule has no annotations"),
        ("{alert: A, expr: 'up{a=~\"(\"}'}", "rule 1 A.expr: "),
    ],
)
def test_a_broken_rule(tmp_path: Path, rule: str, expected: str) -> None:
    found = problems(written(tmp_path, f"groups:\n- name: g\n  rules:\n  - {rule}\n"))
    assert any(expected in problem for problem in found), found


def test_all_problems_of_all_files_at_once(tmp_path: Path) -> None:
    one = written(tmp_path, "groups:\n- name: g\n  rules: [{alert: A, expr: 'up +'}, {alert: B}]", "1.yml")
    two = written(tmp_path, "grups: []", "2.yml")
    found = problems(one, two, tmp_path / "missing.yml")
    assert [problem.split(":")[0].rsplit("/", 1)[1] for problem in found] == [
        *["1.yml"] * 2,
        "2.yml",
        "missing.yml",
    ] or len(found) == 4


def test_a_range_beyond_what_is_kept_is_a_flaw_of_that_rule_alone(tmp_path: Path) -> None:
    text = """
groups:
- name: g
  rules:
  - {alert: A, expr: 'rate(x[1h] offset 5m) > 1'}
  - {alert: B, expr: 'rate(x[5m]) > 1'}
  - {record: c, expr: 'rate(x[3d])'}
"""
    path = written(tmp_path, text)
    assert not any(rule.flaw for rule in load_rule_files([path])[0].rules)
    far, near, record = load_rule_files([path], retention=15 * MINUTE)[0].rules
    way_out = "shorten the range to 15m or raise telemetry.retention"
    assert far.flaw == f"reads 1h5m back, but only 15m are kept: {way_out}"
    assert near.flaw == ""
    assert record.flaw == f"reads 3d back, but only 15m are kept: {way_out}"


SIDE = """
g:
  Down:
    explains: [Slow]
    clear_expr: up == 1
    flap: {changes: 4, within: 30m, hold: 15m}
    kind: business
    deadline: 4m
    entity: replica
    runbook: restart-engine
"""


def test_the_side_file_is_joined(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    written(tmp_path, SIDE, "a.fleetowl.yml")
    [alert] = [rule for rule in load_rule_file(path)[0].rules if isinstance(rule, AlertRule)]
    flap = alert.extras.flap
    assert flap is not None
    assert (flap.changes, flap.within, flap.hold) == (4, 30 * MINUTE, 15 * MINUTE)
    extras = alert.extras
    assert (extras.explains, extras.clear_expr, extras.kind) == (("Slow",), "up == 1", "business")
    assert (extras.deadline, extras.entity, extras.runbook) == (4 * MINUTE, "replica", "restart-engine")
    assert alert.clear is not None
    assert alert.clear.text == "up == 1"


def test_a_clear_expr_that_reads_too_far_back_is_a_flaw_too(tmp_path: Path) -> None:
    path = written(tmp_path, GOOD)
    written(tmp_path, "g: {Down: {clear_expr: 'min_over_time(up[2h]) == 1'}}", "a.fleetowl.yml")
    _, alert = load_rule_files([path], retention=15 * MINUTE)[0].rules
    assert alert.flaw.startswith("reads 2h back")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h: {Down: {}}", "h: the rule file has no such group (known groups: g)"),
        ("g: {Up: {}}", "g.Up: the group has no such alert (known alerts: Down)"),
        ("g: {Dwon: {}}", "g.Dwon: the group has no such alert (did you mean Down?)"),
        ("g: {Down: {clear_expr: 'up =='}}", "a.fleetowl.yml: g.Down.clear_expr: "),
        ("g: {Down: {clear_exp: up}}", "g.Down.clear_exp: unknown key (did you mean clear_expr?)"),
        ("g: {Down: {flap: {max: 4}}}", "g.Down.flap.max: unknown key"),
        ("g: {Down: {flap: {changes: 4, within: 30m}}}", "g.Down.flap.hold: is required"),
        ("g: {Down: {flap: {changes: 1, within: 30m, hold: 5m}}}", "g.Down.flap.changes: "),
        ("g: {Down: {flap: {changes: 4, within: 30, hold: 5m}}}", "g.Down.flap.within: '30' is not a dur"),
        ("g: {Down: {deadline: soon}}", "g.Down.deadline: 'soon' is not a duration"),
        ("g: {Down: {kind: treshold}}", "g.Down.kind: 'treshold' is not known (did you mean threshold?)"),
        ("g: {Down: {entity: nod}}", "g.Down.entity: 'nod' is not known (did you mean node?)"),
        ("g: {Down: {entity: {kind: node}}}", "g.Down.entity: "),
        ("g: {Down: {explain: [x]}}", "g.Down.explain: unknown key (did you mean explains?)"),
        ("g: [Down]", "g: must be a map"),
    ],
)
def test_a_broken_side_file(tmp_path: Path, text: str, expected: str) -> None:
    path = written(tmp_path, GOOD)
    written(tmp_path, text, "a.fleetowl.yml")
    found = problems(path)
    assert any(expected in problem for problem in found), found


def test_check_counts_what_loads_and_says_what_does_not(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    written(tmp_path, SIDE, "a.fleetowl.yml")
    written(tmp_path, "groups: [{name: g, rules: [{alert: A}]}]", "b.yml")
    checked = check_paths([tmp_path])
    assert [problem.key for problem in checked.problems] == ["group g, rule 1 A.expr"]
    assert checked.counts == Counts(1, 1, 1, 1)


OBJECTS = """
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata: {name: one, namespace: monitoring}
spec:
  groups: [{name: g, partial_response_strategy: abort, rules: [{alert: A, expr: up == 0}]}]
---
---
apiVersion: v1
kind: List
items:
- {kind: ConfigMap}
- kind: PrometheusRule
  metadata: {name: two}
  spec: {groups: [{name: g, interval: 30s, rules: [{record: 'a:b', expr: sum(up)}]}]}
"""


def test_prometheus_rule_objects_are_read_from_all_documents_and_lists(tmp_path: Path) -> None:
    path = written(tmp_path, OBJECTS)
    groups = load_rule_file(path)
    assert [(group.file, group.name, group.interval) for group in groups] == [
        (f"{path}#monitoring.one", "g", 0),
        (f"{path}#two", "g", 30 * SECOND),
    ]


def test_a_single_object_is_called_by_its_file(tmp_path: Path) -> None:
    path = written(tmp_path, OBJECTS.split("---")[0])
    assert [group.file for group in load_rule_file(path)] == [str(path)]


@pytest.mark.parametrize("second", ["groups: [{name: h}]", "{ not: [YAML"])
def test_only_the_first_document_of_a_plain_file_is_read(
    tmp_path: Path, second: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path, f"{GOOD}---\n{second}\n")
    assert [group.name for group in load_rule_file(path)] == ["g"]
    assert "only the first YAML document is read" in caplog.text


def test_a_folder_may_hold_unit_tests_and_nothing_else_foreign(tmp_path: Path) -> None:
    written(tmp_path, GOOD)
    tests = written(tmp_path, "rule_files: [a.rules.yml]\ntests: []", "a.test.yml")
    side = written(tmp_path, SIDE, "a.fleetowl.yml")
    checked = check_paths([tmp_path])
    assert (checked.problems, checked.tests, checked.side_files) == ([], [tests], [side])
    assert len(load_rule_files([tmp_path])) == 1
    written(tmp_path, "kind: ConfigMap", "map.yaml")
    assert [str(problem) for problem in check_paths([tmp_path]).problems] == problems(tmp_path)
    assert "map.yaml: is no rule file, it holds ConfigMap" in problems(tmp_path)[0]


def test_a_side_file_is_not_checked_as_a_rule_file(tmp_path: Path) -> None:
    assert "is a side file" in problems(written(tmp_path, SIDE, "a.fleetowl.yml"))[0]


def test_every_real_pack_loads(shared_data: Path) -> None:
    checked = check_paths([shared_data / "rulepacks"])
    assert checked.problems == []
    assert checked.counts.alerts + checked.counts.records > 250
    assert all("test" in path.name for path in checked.tests)


def test_one_flaw_hides_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.rules.yml"
    path.write_text(
        """
groups:
  - name: g
    intervall: 5s
    rules:
      - {alert: A, expr: "sum(rate(up[5m])", for: 5 minutes, annotations: {text: "{{ .nope"}}
      - {alert: B, expr: up, annotations: {text: "{{ nofunc }}"}}
      - {alert: C, expr: "up[5m]"}
      - {record: r, expr: '"text"'}
"""
    )
    path.with_name("a.fleetowl.yml").write_text("g: {A: {deadline: 5m}}")
    found = [one.removeprefix(f"{path}: ") for one in problems(path)]
    assert [one.split(":")[0] for one in found] == [
        "groups[0].intervall",
        "group g, rule 1 A.for",
        "group g, rule 1 A.expr",
        "group g, rule 1 A.annotations.text",
        "group g, rule 2 B.annotations.text",
        "group g, rule 3 C.expr",
        "group g, rule 4 r.expr",
    ]
