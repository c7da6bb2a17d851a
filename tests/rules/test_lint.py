"""`rules lint` over files: what it reads, what comments allow, and what it finds in real rule packs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from model.settings import ConfigurationError
from rules.lint.finding import Severity
from rules.lint.lint import Report, lint_paths
from rules.packs import shipped

ALERT = """\
      - alert: {name}
        expr: {expr}
        for: 1m
        labels: {{tier: P2}}
        annotations: {{summary: it is so}}
"""


def written(folder: Path, *rules: str, name: str = "a.yml") -> Path:
    path = folder / name
    path.write_text("groups:\n  - name: g\n    rules:\n" + "".join(rules))
    return path


def checks(report: Report) -> list[tuple[str, str]]:
    return [(finding.rule, finding.check) for finding in report.findings]


KV = ALERT.format(name="Kv", expr="vllm:kv_cache_usage_perc > 90")
FINE = ALERT.format(name="Fine", expr="vllm:kv_cache_usage_perc > 0.9")


def test_findings_have_their_place(tmp_path: Path) -> None:
    path = written(tmp_path, FINE, KV)
    (finding,) = lint_paths([path]).findings
    assert (finding.file, finding.group, finding.rule) == (str(path), "g", "Kv")
    assert (finding.check, finding.severity) == ("fraction-or-percent", Severity.ERROR)
    assert "compare with 0.9" in finding.way_out


def test_a_finding_is_said_once(tmp_path: Path) -> None:
    twice = "rate(x_total[10s]) > 1 and rate(x_total[10s]) < 2"
    report = lint_paths([written(tmp_path, ALERT.format(name="A", expr=twice))])
    assert checks(report) == [("A", "short-window")]


def test_an_info_alone_is_clean(tmp_path: Path) -> None:
    report = lint_paths([written(tmp_path, ALERT.format(name="A", expr="'up{job=~\"a\"} == 0'"))])
    assert [finding.severity for finding in report.findings] == [Severity.INFO]
    assert report.clean
    assert not lint_paths([written(tmp_path, KV)]).clean


ALLOW = "# lint: allow fraction-or-percent this exporter writes per cent\n"


@pytest.mark.parametrize(
    "rules",
    [
        ("      " + ALLOW, KV, FINE),
        (FINE, "      " + ALLOW, KV),
        (KV.replace("        expr", "        " + ALLOW + "        expr", 1), FINE),
        (KV.replace("> 90\n", "> 90  " + ALLOW, 1), FINE),
    ],
    ids=["above the first", "above", "inside", "on the line"],
)
def test_a_comment_with_a_reason_allows(tmp_path: Path, rules: tuple[str, ...]) -> None:
    report = lint_paths([written(tmp_path, *rules)])
    assert (checks(report), report.allowed) == ([], 1)


def test_a_comment_allows_its_own_rule_only(tmp_path: Path) -> None:
    report = lint_paths([written(tmp_path, "      " + ALLOW, FINE, KV)])
    assert checks(report) == [("Kv", "fraction-or-percent")]
    report = lint_paths([written(tmp_path, "      # lint: allow short-window for good\n", KV)])
    assert checks(report) == [("Kv", "fraction-or-percent")]


def test_a_comment_needs_a_reason_and_a_check(tmp_path: Path) -> None:
    report = lint_paths([written(tmp_path, "      # lint: allow fraction-or-percent\n", KV)])
    assert checks(report) == [("Kv", "fraction-or-percent"), ("Kv", "allow")]
    report = lint_paths([written(tmp_path, "      # lint: allow fractions we know\n", FINE)])
    (finding,) = report.findings
    assert "there is no check 'fractions'" in finding.sentence
    assert "fraction-or-percent" in finding.way_out


def test_a_prometheus_rule_object_is_read(tmp_path: Path) -> None:
    path = tmp_path / "object.yaml"
    plain = f"groups:\n  - name: g\n    rules:\n      {ALLOW}{KV}{KV}"
    inside = "".join(f"  {line}\n" for line in plain.splitlines())
    path.write_text("apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n" + inside)
    report = lint_paths([path])
    assert checks(report) == [("Kv", "fraction-or-percent"), ("Kv", "same-alert")]
    assert report.allowed == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("groups: [", "line 1: is not YAML"),
        ("- a list", "is no rule file"),
        ("groups: {}", "is no rule file"),
        ("", "is no rule file"),
        ("groups: [a]", "is no group with a list of rules"),
        ("groups: [{name: g, rules: 7}]", "is no group with a list of rules"),
        ("groups: [{name: g, rules: [a]}]", "is no rule"),
        ("groups: [{name: g, rules: [{alert: A, expr: 'sum('}]}]", "unclosed left parenthesis"),
        ("groups: [{name: g, rules: [{alert: A}]}]", "no expression found"),
        ("groups: [{name: g, rules: [{alert: A, expr: up, for: soon}]}]", "'soon' is not a duration"),
    ],
)
def test_what_would_not_load_is_a_finding(tmp_path: Path, text: str, sentence: str) -> None:
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(text)
    report = lint_paths([wrong, written(tmp_path, KV)])
    first, second = report.findings
    assert (first.check, first.severity, second.rule) == ("load", Severity.ERROR, "Kv")
    assert sentence in first.sentence


def test_an_empty_group_has_no_findings(tmp_path: Path) -> None:
    path = tmp_path / "a.yml"
    path.write_text("groups: [{name: g}, {name: h, rules: []}]")
    assert lint_paths([path]).findings == ()


def test_unit_tests_of_rules_are_no_rule_files(tmp_path: Path) -> None:
    (tmp_path / "a.test.yml").write_text("rule_files: [a.yml]\ntests: []\n")
    written(tmp_path, FINE)
    assert lint_paths([tmp_path]).findings == ()


def test_a_missing_path_is_an_error_with_all_of_them() -> None:
    with pytest.raises(ConfigurationError) as raised:
        lint_paths([Path("/no/such.yml"), Path("/nor/this")])
    assert [problem.file for problem in raised.value.problems] == ["/no/such.yml", "/nor/this"]


def test_the_shipped_packs_are_clean() -> None:
    report = lint_paths(shipped())
    assert [finding for finding in report.findings if finding.severity is not Severity.INFO] == []


def counts(report: Report) -> Counter[str]:
    return Counter(finding.check for finding in report.findings)


def test_what_real_packs_have(shared_data: Path) -> None:
    """Each of these findings was looked at, and is true."""
    packs = shared_data / "rulepacks"
    assert counts(lint_paths([packs / "kube-prometheus"])) == {
        "label-not-there": 5,  # {{$labels.job}} after `by (namespace, service)`
        "no-for": 8,
        "no-summary": 1,
        "plain-regex": 1,
    }
    assert counts(lint_paths([packs / "llm-gpu-chrisadkin8" / "llm-rules.yaml"])) == {"bucket-edge": 1}
    assert counts(lint_paths([packs / "llm-gpu-chrisadkin8" / "gpu-rules.yaml"])) == {}
    assert counts(lint_paths([packs / "nvidia"])) == {"record-unit": 4, "unknown-metric": 1}
    assert counts(lint_paths([packs / "vllm" / "vllm-prometheusrule.yaml"])) == {
        "bucket-edge": 2,
        "unknown-metric": 1,
    }
    assert counts(lint_paths([packs / "vllm" / "community-vllm-alerts-zh.yaml"])) == {
        "bucket-edge": 1,
        "no-summary": 8,
        "unknown-metric": 4,
    }
