"""The packs' own unit tests: they pass under the real promtool, and no alert is without them."""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from model.moment import MINUTE
from rules.files import load_rule_file, load_rule_files
from rules.group import AlertRule
from rules.packs import PROFILES, shipped, unit_tests
from rules.unittest.report import as_text, run_paths

ROOT = Path(__file__).resolve().parent.parent.parent
RETENTION = 15 * MINUTE
SEVERITY = {"P0": "critical", "P1": "critical", "P2": "warning", "P3": "info"}
FIRING = re.compile(r'ALERTS\{alertname=~?"([\w|]+)".*alertstate="firing"\}')

SLOW_PACKS = {"availability", "gpu-efficiency", "gpu-health", "latency"}
PACKS = [path.name.removesuffix(".test.yml") for path in unit_tests()]


def alerts_of(path: Path) -> list[AlertRule]:
    return [rule for group in load_rule_file(path) for rule in group.rules if isinstance(rule, AlertRule)]


def document(pack: str) -> dict[str, Any]:
    path = next(path for path in unit_tests() if path.name == f"{pack}.test.yml")
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


@pytest.mark.parametrize("pack", sorted(set(PACKS) - SLOW_PACKS))
def test_the_tests_of_the_pack_pass(pack: str) -> None:
    """Under the real promtool they run beside the export, in tests/acceptance/test_export.py.

    The slowest: tests/acceptance/test_unit_tests_of_a_pack.py.
    """
    [path] = [path for path in unit_tests() if path.name == f"{pack}.test.yml"]
    [outcome] = run_paths([path])
    assert outcome.passed, as_text(outcome)


def test_each_pack_has_its_tests() -> None:
    assert [path.name.removesuffix(".rules.yml") for path in shipped()] == PACKS


@pytest.mark.parametrize("pack", PACKS)
def test_each_alert_has_a_case_that_fires_and_one_that_is_silent(pack: str) -> None:
    cases: dict[str, set[str]] = defaultdict(set)
    for test in document(pack)["tests"]:
        assert test["input_series"]
        for case in test.get("alert_rule_test", ()):
            cases[case["alertname"]].add("fires" if case["exp_alerts"] else "silent")
        for case in test.get("promql_expr_test", ()):
            found = FIRING.search(case["expr"])
            if found is None:
                continue
            shown = [re.search(r'alertname="(\w+)"', sample["labels"]) for sample in case["exp_samples"]]
            for name in [one[1] for one in shown if one is not None]:
                assert name in found[1].split("|")
                cases[name].add("fires")
    [path] = [path for path in shipped() if path.name == f"{pack}.rules.yml"]
    wanted = {rule.name: {"fires", "silent"} for rule in alerts_of(path) if rule.name != "Watchdog"}
    assert {name: cases[name] for name in wanted} == wanted
    assert set(cases) <= {rule.name for rule in alerts_of(path)}


@pytest.mark.parametrize("profile", PROFILES)
def test_the_packs_load_under_the_default_retention(profile: str) -> None:
    files = shipped(profile)
    assert len({path.name for path in files}) == len(files)
    groups = load_rule_files(files, RETENTION)
    keys = [(Path(group.file).name, group.name) for group in groups]
    assert len(set(keys)) == len(keys)


@pytest.mark.peer
@pytest.mark.parametrize("profile", PROFILES)
def test_the_profiles_are_plain_prometheus_rules(profile: str) -> None:
    answer = subprocess.run(
        ["promtool", "check", "rules", str(shipped(profile)[-1])], capture_output=True, text=True
    )
    assert profile == "small" or answer.returncode == 0, answer.stdout + answer.stderr


def test_labels_say_tier_kind_and_the_severity_of_the_tier() -> None:
    for path in shipped():
        for rule in alerts_of(path):
            labels = {name: template.text for name, template in rule.labels.items()}
            assert labels["severity"] == SEVERITY[labels["tier"]], rule.name
            assert labels["kind"] in ("threshold", "trend", "anomaly", "business"), rule.name


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    names = {rule.name for path in shipped() for rule in alerts_of(path)}
    pages = {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")}
    assert pages == names
    for name in names:
        assert "## Look-alikes" in (ROOT / "docs" / "runbooks" / f"{name}.md").read_text(), name


def test_the_table_of_thresholds_answers_each_row_with_alerts_that_exist() -> None:
    text = (ROOT / "docs" / "thresholds.md").read_text()
    names = {rule.name for path in shipped() for rule in alerts_of(path)}
    links = re.findall(r"\[(\w+)\]\(runbooks/(\w+)\.md\)", text)
    assert all(name == page for name, page in links)
    [itself] = [path for path in shipped() if path.name == "fleetowl.rules.yml"]
    of_itself = {rule.name for rule in alerts_of(itself)} - {"Watchdog"}
    assert {name for name, _ in links} == names - of_itself
    rows = [line for line in text.splitlines() if re.match(r"\| [AS]\d ", line)]
    assert len([row for row in rows if row.startswith("| A3 ")]) == 16
    assert all("](runbooks/" in row for row in rows)


def test_side_files_name_what_each_alert_is_about_and_what_it_explains() -> None:
    rules = [rule for path in shipped() for rule in alerts_of(path)]
    known = {rule.name for rule in rules}
    for rule in rules:
        assert rule.extras.entity, rule.name
        assert set(rule.extras.explains) <= known - {rule.name}, rule.name
