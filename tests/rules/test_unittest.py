"""`fleetowl rules test`: what passes, what fails and how it is told. The peer tests hold it to promtool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from model.moment import MINUTE
from model.settings import ConfigurationError
from rules.unittest.report import Outcome, as_data, as_text, run_file, run_paths

RULES = """
groups:
- name: g
  interval: 1h
  rules:
  - {record: 'job:up', expr: sum by (job) (up)}
  - alert: Down
    expr: up == 0
    for: $scrapes(2)
    labels: {severity: page}
    annotations: {summary: "{{ $labels.job }} in {{ $externalLabels.dc }} at {{ $externalURL }}"}
"""
TEST = """
rule_files: [r.yml]
evaluation_interval: 30s
tests:
- name: it falls
  interval: 30s
  external_labels: {dc: east}
  external_url: http://owl
  input_series: [{series: 'up{job="a"}', values: '1 0x5 stale'}]
  alert_rule_test:
  - {eval_time: 1m, alertname: Down}
  - {eval_time: 1m29s, alertname: Down}
  - eval_time: 1m45s
    alertname: Down
    exp_alerts:
    - {exp_labels: {severity: page, job: a}, exp_annotations: {summary: a in east at http://owl}}
  - {eval_time: 4m, alertname: Down}
  promql_expr_test:
  - {expr: 'job:up', eval_time: 0s, exp_samples: [{labels: 'job:up{job="a"}', value: 1}]}
  - {expr: 'job:up', eval_time: 3m30s}
  - {expr: '0.1 + 0.2', exp_samples: [{value: 0.3}]}
  - {expr: '0/0', exp_samples: [{value: .nan}]}
"""


def written(folder: Path, test: str = TEST, rules: str = RULES) -> Path:
    (folder / "r.yml").write_text(rules)
    path = folder / "t.yml"
    path.write_text(test)
    return path


def run(folder: Path, test: str = TEST, rules: str = RULES) -> Outcome:
    return run_file(written(folder, test, rules))


def test_what_comes_out_as_expected_passes(tmp_path: Path) -> None:
    outcome = run(tmp_path)
    assert (outcome.passed, outcome.tests) == (True, 1), as_text(outcome)
    assert as_text(outcome) == f"Unit Testing:  {tmp_path / 't.yml'}\n  SUCCESS\n"


def test_a_difference_is_told_with_both_sides(tmp_path: Path) -> None:
    wrong = TEST.replace("summary: a in", "summary: b in").replace("value: 1}", "value: 1.000001}")
    outcome = run(tmp_path, wrong)
    assert as_text(outcome).splitlines()[1:] == [
        "  FAILED:",
        "    name: it falls, alertname: Down, time: 1m45s,",
        "        exp:",
        '          - {alertname="Down", job="a", severity="page"}',
        "              summary: b in east at http://owl",
        "        got:",
        '          + {alertname="Down", job="a", severity="page"}',
        "              summary: a in east at http://owl",
        "    name: it falls, expr: job:up, time: 0s,",
        "        exp:",
        '          - job:up{job="a"} 1.000001',
        "        got:",
        '          + job:up{job="a"} 1.0',
    ]


def test_what_agrees_is_not_marked_and_nothing_is_said_so(tmp_path: Path) -> None:
    test = """
rule_files: [r.yml]
tests:
- interval: 1m
  input_series: [{series: 'x{a="1"}', values: '1'}, {series: 'x{a="2"}', values: '2'}]
  promql_expr_test:
  - {expr: x, exp_samples: [{labels: 'x{a="1"}', value: 1}, {labels: 'x{a="2"}', value: 3}]}
  - {expr: y, exp_samples: [{labels: y, value: 1}]}
"""
    text = as_text(run(tmp_path, test))
    assert '            x{a="1"} 1.0\n          - x{a="2"} 3.0\n' in text
    assert '            x{a="1"} 1.0\n          + x{a="2"} 2.0\n' in text
    assert "        got: nothing\n" in text
    assert "name: unnamed#0" in text


def test_the_difference_as_data_is_json(tmp_path: Path) -> None:
    test = "tests: [{interval: 1m, promql_expr_test: [{expr: '1/0'}, {expr: '0/0'}]}]"
    data = json.loads(json.dumps(as_data([run(tmp_path, test)]), allow_nan=False))
    assert (data["passed"], data["failed"]) == (0, 1)
    assert [failure["got"][0]["value"] for failure in data["files"][0]["failures"]] == ["+Inf", "NaN"]


def test_a_missing_rule_file_is_an_error_with_its_path(tmp_path: Path) -> None:
    outcome = run(tmp_path, "rule_files: [no.yml, 'x*.yml', r.yml]\ntests: []")
    assert [problem.message for problem in outcome.problems] == [
        f"{tmp_path / 'no.yml'} does not exist",
        f"{tmp_path / 'x*.yml'} does not exist",
    ]
    assert not outcome.passed


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("{", "is not YAML"),
        ("[1]", "is no file of unit tests"),
        ("test: []", "test: unknown key (did you mean tests?)"),
        (
            "tests: [{interval: 1m, alert_rule_tests: []}]",
            "tests.0.alert_rule_tests: unknown key (did you mean",
        ),
        ("tests: [{interval: 5}]", "tests.0.interval: '5' is not a duration"),
        ("tests: [{alert_rule_test: [{eval_time: 1m}]}]", "alert_rule_test.0.alertname: is required"),
        ("tests: [{promql_expr_test: [{expr: 'up =='}]}]", "tests.0.promql_expr_test.0.expr: "),
        (
            "tests: [{promql_expr_test: [{expr: '1', exp_samples: [{value: Inf}]}]}]",
            "write .inf, -.inf or .nan",
        ),
        (
            "tests: [{promql_expr_test: [{expr: '1', exp_samples: [{labels: 'a{'}]}]}]",
            "exp_samples.0.labels: ",
        ),
        (
            "tests: [{promql_expr_test: [{expr: '1', exp_samples: [{histogram: '{{}}'}]}]}]",
            "native histograms",
        ),
        ("tests: [{input_series: [{series: x, values: '1 2 three'}]}]", "'three' is no value"),
        (
            "tests: [{input_series: [{series: x, values: '{{schema:1}}'}]}]",
            "native histograms ({{...}}) are not",
        ),
        ("tests: [{input_series: [{series: 'x{', values: '1'}]}]", "tests.0.input_series.0: "),
        ("tests: [{input_series: [{values: '1'}]}]", "tests.0.input_series.0.series: is required"),
        ("tests: [{start_timestamp: noon}]", "tests.0.start_timestamp: 'noon' is neither"),
        ("group_eval_order: [a, b, a]", "group_eval_order: the group 'a' stands twice"),
        ("rule_files: [r.yml]", "rule 1 A.expr"),
    ],
)
def test_a_broken_file_says_where(tmp_path: Path, test: str, said: str) -> None:
    outcome = run(tmp_path, test, "groups: [{name: g, rules: [{alert: A, expr: 'up =='}]}]")
    assert not outcome.passed
    assert any(said in str(problem) for problem in outcome.problems), as_text(outcome)


def test_a_rule_that_fails_ends_its_test(tmp_path: Path) -> None:
    rules = "groups: [{name: g, rules: [{record: twice, expr: 'x * on () y'}]}]"
    test = """
rule_files: [r.yml]
tests:
- input_series:
  - {series: y, values: 1x3}
  - {series: 'x{a="1"}', values: 1x3}
  - {series: 'x{a="2"}', values: _ 1}
  promql_expr_test: [{expr: twice, eval_time: 3m}]
"""
    [failure] = run(tmp_path, test, rules).failures
    assert (failure.subject, failure.time) == ("rule: twice", MINUTE)
    assert "err: " in as_text(Outcome(tmp_path, failures=[failure]))


def test_a_result_that_is_no_vector_is_an_error(tmp_path: Path) -> None:
    [failure] = run(tmp_path, "tests: [{promql_expr_test: [{expr: '\"a\"'}]}]").failures
    assert failure.error == "the result is neither a vector nor a number"


def test_a_start_timestamp_moves_all_times(tmp_path: Path) -> None:
    test = """
rule_files: [r.yml]
tests:
- interval: 1m
  start_timestamp: '2024-01-01T00:00:07Z'
  input_series: [{series: 'up{job="a"}', values: '0 0 0'}]
  alert_rule_test: [{eval_time: 1m, alertname: Down}]
  promql_expr_test:
  - {expr: 'time()', eval_time: 1m, exp_samples: [{value: 1704067267}]}
  - {expr: 'timestamp(up)', eval_time: 2m, exp_samples: [{labels: '{job="a"}', value: 1704067327}]}
  - {expr: 'ALERTS', eval_time: 2m, exp_samples:
      [{labels: 'ALERTS{alertname="Down",alertstate="firing",job="a",severity="page"}', value: 1}]}
"""
    assert run(tmp_path, test).passed, as_text(run(tmp_path, test))


def test_the_groups_run_in_the_stated_order(tmp_path: Path) -> None:
    rules = (
        "groups: [{name: late, rules: [{record: b, expr: a}]}, {name: early, rules: [{record: a, expr: x}]}]"
    )
    test = """
rule_files: [r.yml]
group_eval_order: [early, late]
tests:
- input_series: [{series: x, values: '1'}]
  promql_expr_test: [{expr: b, exp_samples: [{labels: b, value: 1}]}]
"""
    assert run(tmp_path, test, rules).passed
    assert not run(tmp_path, test.replace("group_eval_order: [early, late]", ""), rules).passed


def test_the_side_file_is_read_over(tmp_path: Path) -> None:
    (tmp_path / "r.fleetowl.yml").write_text("g: {Down: {explains: [Other]}}")
    assert run(tmp_path).passed


def test_a_failing_template_is_text_and_no_failure_of_the_rule(tmp_path: Path) -> None:
    rules = RULES.replace("$labels.job }} in", "$labels.job | humanize }} in")
    [failure] = run(tmp_path, TEST, rules).failures
    assert failure.subject == "alertname: Down"
    assert "<error expanding template: cannot use 'a' as a number>" in str(failure.got[0])


def test_days_take_seconds(tmp_path: Path) -> None:
    test = """
rule_files: [r.yml]
tests:
- interval: 1m
  input_series: [{series: 'up{job="a"}', values: '1x4318 0 0'}]
  alert_rule_test: [{eval_time: 4318m, alertname: Down}]
  promql_expr_test:
  - {expr: 'count_over_time(job:up[3d])', eval_time: 3d, exp_samples: [{labels: '{job="a"}', value: 4320}]}
"""
    outcome = run(tmp_path, test)
    assert outcome.passed, as_text(outcome)


def test_folders_are_searched_for_tests(tmp_path: Path) -> None:
    written(tmp_path)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "broken.yaml").write_text("tests: [{")
    (tmp_path / "deep" / "other.yaml").write_text("kind: ConfigMap")
    outcomes = list(run_paths([tmp_path]))
    assert [(outcome.path.name, outcome.passed) for outcome in outcomes] == [
        ("broken.yaml", False),
        ("t.yml", True),
    ]


def test_wrong_paths_are_said_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError) as caught:
        list(run_paths([tmp_path / "empty", tmp_path / "no.yml"]))
    assert [str(problem).split(" (")[0] for problem in caught.value.problems] == [
        f"{tmp_path / 'empty'}: holds no file of unit tests",
        f"{tmp_path / 'no.yml'}: does not exist",
    ]


def test_the_tests_of_a_pack_without_its_rules_name_what_is_missing(shared_data: Path) -> None:
    outcomes = list(run_paths([shared_data / "rulepacks" / "kubernetes-mixin"]))
    assert len(outcomes) == 8
    for outcome in outcomes:
        assert all("kubernetes-mixin/../prometheus_" in problem.message for problem in outcome.problems)
        assert outcome.problems
