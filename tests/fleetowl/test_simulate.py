"""`fleetowl alerts simulate`: both kinds of configuration, three forms of answer, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from fleetowl.cli import main

PLAIN = """
route:
  receiver: team
  group_wait: 10s
  group_interval: 1m
receivers:
  - name: team
    webhook_configs: [{url: "http://127.0.0.1:1/"}]
"""
FIRING = {"at": "2026-11-20T10:00:00Z", "alert": {"alertname": "A", "tier": "P0"}, "fault": "f"}


@pytest.fixture
def run(tmp_path: Path) -> Any:
    def simulate(config: str, lines: list[Any], *options: str) -> Result:
        (tmp_path / "c.yml").write_text(config)
        (tmp_path / "h.jsonl").write_text(
            "\n".join(text if isinstance(text, str) else json.dumps(text) for text in lines)
        )
        files = ["--config", str(tmp_path / "c.yml"), "--history", str(tmp_path / "h.jsonl")]
        return CliRunner().invoke(main, ["alerts", "simulate", *files, *options])

    return simulate


def test_the_table_says_what_when_and_to_whom(run: Any) -> None:
    answer = run(PLAIN, [FIRING])
    assert answer.exit_code == 0
    assert "2026-11-20T10:00:10.000Z  team      firing  P0" in answer.stdout
    assert "faults of which nobody would have heard: 0 of 1" in answer.stdout


def test_fleetowls_own_file_has_its_own_defaults(run: Any) -> None:
    own = json.dumps({"alertmanager": yaml.safe_load(PLAIN), "rules": {"shipped": False}})
    answer = run(own, [FIRING], "-o", "json")
    (sent,) = json.loads(answer.stdout)["notifications"]
    assert sent["at"] == "2026-11-20T10:00:00.000Z"  # a P0 leaves at once; a plain alertmanager.yml waits


def test_a_fault_that_nobody_hears_of_is_a_finding(run: Any) -> None:
    ended = {
        **FIRING,
        "at": "2026-11-20T10:00:02Z",
        "alert": {"labels": FIRING["alert"], "status": "resolved"},
    }
    answer = run(PLAIN, [FIRING, ended], "-o", "yaml")
    assert answer.exit_code == 1
    assert yaml.safe_load(answer.stdout)["wrongly_suppressed"] == ["f"]


def test_bad_lines_are_all_named(run: Any) -> None:
    answer = run(PLAIN, ["{", FIRING, "[]"])
    assert answer.exit_code == 2
    assert "h.jsonl: line 1: is not JSON" in answer.stderr
    assert "h.jsonl: line 3: is a list" in answer.stderr


def test_what_can_be_left_out_is_said(run: Any) -> None:
    answer = run(PLAIN, [FIRING], "--without", "sense")
    assert answer.exit_code == 2
    assert "'sense' is none of time_intervals, inhibit, silence" in answer.stderr


def test_silences_are_a_file_of_amtools(run: Any, tmp_path: Path) -> None:
    silence = {
        "id": "1",
        "matchers": [{"name": "alertname", "value": "A|B", "isRegex": True, "isEqual": True}],
        "startsAt": "2026-11-20T09:00:00Z",
        "endsAt": "2026-11-20T12:00:00Z",
        "createdBy": "eve",
        "comment": "we paint",
    }
    file = tmp_path / "s.json"
    file.write_text(json.dumps([silence]))
    answer = run(PLAIN, [FIRING], "--silences", str(file))
    assert answer.exit_code == 1
    assert "we paint" in answer.stdout
    file.write_text(json.dumps([silence, {**silence, "startsAt": "soon"}, {"matchers": []}]))
    answer = run(PLAIN, [FIRING], "--silences", str(file))
    assert answer.exit_code == 2
    assert "silence 1: 'soon'" in answer.stderr
    assert "silence 2: 'startsAt' is missing" in answer.stderr
