"""`fleetowl silence` and `alerts list` against a running analyzer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from analyzer.central import CentralSettings
from analyzer.service import Analyzer
from fleetowl.cli import main
from fleetowl.remote import ask
from model.settings import load_section

RULES = """
groups:
  - name: now
    interval: 1s
    rules:
      - {alert: Waiting, expr: vector(1), for: 1h, labels: {tier: P3}}
"""


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """An analyzer with a pending alert of a rule, and two that somebody sent."""
    (tmp_path / "now.rules.yml").write_text(RULES)
    (tmp_path / "token").write_text("s3cret\n")
    settings = load_section(
        CentralSettings,
        {
            "analyzer": {
                "listen": "127.0.0.1:0",
                "state_directory": str(tmp_path / "state"),
                "token_file": str(tmp_path / "token"),
            },
            "rules": {"shipped": False, "files": [str(tmp_path / "now.rules.yml")]},
        },
        "test.yml",
    )
    analyzer = Analyzer(settings, lambda: settings)
    await analyzer.start()
    base = f"http://{analyzer.address}"
    sent = [
        {
            "labels": {"alertname": "Disk", "node": node, "severity": "critical"},
            "annotations": {"summary": "full"},
        }
        for node in ("n1", "n2")
    ]
    await asyncio.to_thread(ask, base, "/api/v2/alerts", sent, token_file=tmp_path / "token")
    yield base
    await analyzer.stop()


async def run(url: str, *arguments: str, status: int = 0) -> Result:
    result: Result = await asyncio.to_thread(CliRunner().invoke, main, [*arguments, "--url", url])
    assert result.exit_code == status, (result.output, result.exception)
    return result


async def test_a_silence_from_its_making_to_its_end(url: str, tmp_path: Path) -> None:
    token = ("--token-file", str(tmp_path / "token"))
    tried = await run(url, "silence", "add", "Disk", "--comment", "x", "--dry-run")
    assert tried.stdout == "it would match 2 alerts that fire now; no silence was made\n"
    assert (await run(url, "silence", "list")).stdout == "no silence\n"
    made = await run(
        url,
        "silence",
        "add",
        "Disk",
        'node=~"n1|n3"',
        "-d",
        "2h",
        "--comment",
        "new disk",
        "--author",
        "me",
        *token,
    )
    silence, *_ = made.stdout.split()
    assert made.stdout.endswith("matches 1 alert that fires now\n")
    head, row = (await run(url, "silence", "list")).stdout.splitlines()
    assert head.split() == ["SILENCE", "STATE", "UNTIL", "BY", "MATCHES", "WHY"]
    assert row.startswith(f"{silence}  active ")
    assert row.endswith('me  alertname="Disk" node=~"n1|n3"  new disk')

    listed = (await run(url, "alerts", "list")).stdout.splitlines()
    assert listed[0].split() == ["TIER", "ALERT", "STATE", "SINCE", "SUMMARY"]
    assert [line.split()[:3] for line in listed[1:]] == [
        ["P1", "Disk", "firing"],
        ["P1", "Disk", "suppressed"],
        ["P3", "Waiting", "pending"],
    ]
    assert f"silence: silence {silence}" in listed[2]

    ended = await run(url, "silence", "expire", silence, *token)
    assert ended.stdout == f"silence {silence} has ended\n"
    assert (await run(url, "silence", "list")).stdout == "no silence\n"
    shown = json.loads((await run(url, "silence", "list", "--expired", "-o", "json")).stdout)
    assert [one["status"]["state"] for one in shown["silences"]] == ["expired"]
    alerts: list[Any] = json.loads((await run(url, "alerts", "list", "-o", "json")).stdout)["alerts"]
    assert {one["state"] for one in alerts} == {"firing", "pending"}


async def test_wrong_input_says_the_way_out(url: str, tmp_path: Path) -> None:
    wrong = await run(url, "silence", "add", "node=~(", "--comment", "x", status=2)
    assert "Invalid value for MATCHERS: 'node=~(': error parsing regexp" in wrong.stderr
    wrong = await run(url, "silence", "add", "Disk", "--comment", "x", "-d", "soon", status=2)
    assert "'soon' is not a duration" in wrong.stderr
    assert "Missing option '--comment'" in (await run(url, "silence", "add", "Disk", status=2)).stderr
    refused = await run(url, "silence", "add", "Disk", "--comment", "x", status=1)
    assert "answered 401: this needs the analyzer's token" in refused.stderr
    token = ("--token-file", str(tmp_path / "token"))
    gone = await run(url, "silence", "expire", "x", *token, status=1)
    assert "answered 404: there is no silence x" in gone.stderr
    empty = await run(url, "silence", "add", "node=~.*", "--comment", "x", *token, status=1)
    assert "at least one matcher must match a non-empty value" in empty.stderr
    assert "no analyzer answers" in (await run("http://127.0.0.1:1", "silence", "list", status=1)).stderr
