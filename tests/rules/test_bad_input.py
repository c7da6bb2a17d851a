"""One bad rule is an error on that rule, seen in /api/v1/rules, and the other rules go on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.moment import MINUTE
from model.settings import ConfigurationError
from rules.files import load_rule_files
from tests.rules.cluster import START, Cluster

GOOD = "{alert: Good, expr: load > 1}"
TWO = {'load{node="n1", word="a"}': 5.0, 'load{node="n2", word="b"}': 5.0}


def ran(tmp_path: Path, rule: str, steps: int = 1) -> tuple[Cluster, dict[str, Any]]:
    """The cluster after some steps, and the document of the bad rule, which stands before the good one."""
    path = tmp_path / "test.rules.yml"
    path.write_text(f"groups:\n- name: g\n  interval: 1s\n  rules:\n  - {rule}\n  - {GOOD}\n")
    it = Cluster(load_rule_files([path], retention=15 * MINUTE))
    it.run(steps, lambda _: TWO)
    bad, good = it.engine.document()["groups"][0]["rules"]
    assert good["health"] == "ok"
    assert len([alert for alert in it.firing if alert.name == "Good"]) == 2
    return it, bad


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        (
            "{alert: Bad, expr: load > 1, labels: {node: x, word: x}}",
            "two results have the same labels after the labels of the rule were applied: ",
        ),
        (
            "{record: bad, expr: load > 1, labels: {node: x, word: x}}",
            "two results have the same labels after the labels of the rule were applied",
        ),
        (
            "{alert: Bad, expr: 'max_over_time(load[3d]) > 1'}",
            "reads 3d back, but only 15m are kept: shorten the range to 15m or raise telemetry.retention",
        ),
        ("{alert: Bad, expr: 'load * on (job) group_left load > 0'}", "found duplicate series"),
    ],
)
def test_a_rule_that_fails(tmp_path: Path, rule: str, error: str) -> None:
    it, bad = ran(tmp_path, rule)
    assert bad["health"] == "err"
    assert bad["lastError"].startswith(error)
    assert {alert.name for alert in it.firing} == {"Good"}


def test_a_flaw_is_seen_before_the_first_evaluation(tmp_path: Path) -> None:
    _, bad = ran(tmp_path, "{alert: Bad, expr: 'max_over_time(load[3d]) > 1'}", steps=1)
    path = tmp_path / "test.rules.yml"
    it = Cluster(load_rule_files([path], retention=15 * MINUTE))
    first = it.engine.document()["groups"][0]["rules"][0]
    assert (first["health"], first["lastError"]) == ("err", bad["lastError"])


@pytest.mark.parametrize("place", ["annotations: {summary", "labels: {extra"])
def test_a_template_that_fails_is_an_error_of_the_rule_and_its_alert_fires(
    tmp_path: Path, place: str
) -> None:
    """A page with a flaw is better than no page; Prometheus writes the same text, and tells nobody."""
    rule = f"{{alert: Bad, expr: load > 1, {place}: 'at {{{{ $labels.word | humanize }}}}'}}}}"
    it, bad = ran(tmp_path, rule, steps=3)
    assert bad["health"] == "err"
    assert "humanize" in rule
    what = "annotation summary" if "summary" in place else "label extra"
    assert bad["lastError"].startswith(f"the template of the {what} failed: ")
    told = [alert for alert in it.firing if alert.name == "Bad"]
    assert len(told) == 2
    texts = [{**alert.annotations, **alert.labels} for alert in told]
    assert all("<error expanding template: " in str(text) for text in texts)
    assert it.engine.groups[0].failures == 3


def test_a_template_that_is_mended_clears_the_error(tmp_path: Path) -> None:
    rule = "{alert: Bad, expr: load > 1, annotations: {summary: '{{ $labels.word | humanize }}'}}"
    it, bad = ran(tmp_path, rule)
    path = tmp_path / "test.rules.yml"
    path.write_text(path.read_text().replace(" | humanize", ""))
    it.engine.reload(load_rule_files([path]))
    it.run(1, lambda _: TWO, START + 1000)
    mended = it.engine.document()["groups"][0]["rules"][0]
    assert (bad["health"], mended["health"]) == ("err", "ok")


@pytest.mark.parametrize("pattern", ["a{2000}", "a++", "(?x)a b"])
def test_a_regular_expression_that_re2_refuses_is_an_error_at_load(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "test.rules.yml"
    path.write_text(
        f"groups: [{{name: g, rules: [{GOOD}, {{alert: Bad, expr: 'load{{a=~\"{pattern}\"}}'}}]}}]"
    )
    with pytest.raises(ConfigurationError) as caught:
        load_rule_files([path])
    [problem] = caught.value.problems
    assert problem.key == "group g, rule 2 Bad.expr"
    assert "is not an RE2 regular expression" in problem.message
