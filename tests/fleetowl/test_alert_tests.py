"""`fleetowl alerts test`: the documented example passes, and what differs is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from fleetowl.cli import main
from tests.conftest import ROOT

CONFIG = """
route:
  receiver: team
  group_by: [alertname]
  group_wait: 30s
  group_interval: 5m
  routes:
    - {receiver: pager, matchers: ['severity="critical"']}
    - {receiver: office, matchers: ['office="yes"'], active_time_intervals: [work]}
inhibit_rules:
  - {source_matchers: [alertname=NodeDown], target_matchers: [alertname=GpuLost], equal: [node]}
time_intervals:
  - name: work
    time_intervals: [{times: [{start_time: '09:00', end_time: '17:00'}]}]
receivers:
  - {name: team, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}
  - {name: pager, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}
  - {name: office, webhook_configs: [{url: 'http://127.0.0.1:1/'}]}
"""


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def test(text: str, *options: str) -> Result:
        (tmp_path / "alertmanager.yml").write_text(CONFIG)
        (tmp_path / "t.test.yml").write_text(text)
        return CliRunner().invoke(main, ["alerts", "test", str(tmp_path / "t.test.yml"), *options])

    return test


def example() -> str:
    found = re.search(r"```yaml\n(.*?)```", (ROOT / "docs" / "alerts-testing.md").read_text(), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_documented_example_passes(run: Any) -> None:
    answer = run(example())
    assert answer.stdout.endswith("  SUCCESS (3 tests)\n\n"), answer.stdout
    assert answer.exit_code == 0


BROKEN = {
    "at: 30s ": ("at: 31s ", "- at 31s  to pager", "+ at 30s  to pager"),
    "{alertname: NodeDown}\n": ("{alertname: Node}\n", '- at 30s  to pager  group {alertname="Node"}', "+"),
    "receivers: [pager]": ("receivers: [team]", "- team", "+ pager"),
    "stage: inhibit": ("stage: silence", "- nobody is told because of silence", "inhibit held it back"),
    "alerts: GpuLost, stage": ("alerts: NodeDown, stage", "- nobody is told", "+ told to pager after 30s"),
    "resolved: [NodeDown]": ("resolved: [NodeUp]", "resolved NodeUp", 'resolved {alertname="NodeDown"'),
    "for: 10m, matchers": ("for: 1s, matchers", "- at 10m30s", "+ at 30s"),
}  # fmt: skip


@pytest.mark.parametrize("place", BROKEN)
def test_what_differs_is_shown(run: Any, place: str) -> None:
    other, expected, got = BROKEN[place]
    text = example()
    assert place in text
    answer = run(text.replace(place, other))
    assert answer.exit_code == 1
    assert "FAILED" in answer.stdout
    assert expected in answer.stdout
    assert got in answer.stdout


def test_time_intervals_keep_alerts_back(run: Any) -> None:
    test = {
        "alerts": [{"labels": {"alertname": "Coffee", "office": "yes"}}],
        "until": "4h",
        "quiet": [{"alerts": "Coffee", "stage": "time_intervals"}],
    }
    text = yaml.safe_dump({"config_file": "alertmanager.yml", "tests": [test]})
    answer = run(text)
    assert answer.exit_code == 0, answer.stdout


def test_a_file_that_cannot_be_read_is_named(run: Any) -> None:
    answer = run("config_file: alertmanager.yml\ntests: [{alert: []}]\n", "-o", "json")
    assert answer.exit_code == 2
    assert "unknown key" in answer.stdout
    missing = CliRunner().invoke(main, ["alerts", "test", "none.yml"])
    assert missing.exit_code == 2
    assert "none.yml: is no file" in missing.stderr


def test_a_folder_stands_for_the_tests_in_it(run: Any, tmp_path: Path) -> None:
    assert run(example()).exit_code == 0
    answer = CliRunner().invoke(main, ["alerts", "test", str(tmp_path)])
    assert (answer.exit_code, answer.stdout.count("SUCCESS")) == (0, 1)
    (tmp_path / "t.test.yml").unlink()
    answer = CliRunner().invoke(main, ["alerts", "test", str(tmp_path)])
    assert (answer.exit_code, "has no tests in it" in answer.output) == (2, True)


def test_a_file_that_cannot_be_taken_is_no_failed_test(run: Any) -> None:
    assert run("tests: [").exit_code == 2
