"""What the commands print, from what a real analyzer answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from analyzer.central import CentralSettings
from analyzer.service import Analyzer
from fleetowl.cli import main
from model.settings import load_section
from runbooks.audit import AuditLog

RULES = """
groups:
  - name: now
    interval: 1s
    rules:
      - alert: NodeHot
        expr: label_replace(vector(90), "node", "n1", "", "")
        labels: {tier: P1}
        annotations: {summary: "n1 is at {{ $value }} C"}
"""


@pytest.fixture
async def url(tmp_path: Path) -> AsyncIterator[str]:
    """An analyzer with one alert, one incident, the shipped runbook and two audit lines."""
    (tmp_path / "now.rules.yml").write_text(RULES)
    audit = tmp_path / "audit.jsonl"
    log = AuditLog(audit)
    for state in ("proposed", "done"):
        log.append(
            {"at": "2026-11-20T12:00:00.000Z", "run": "r1", "state": state, "sentence": f"it is {state}"}
        )
    log.close()
    settings = load_section(
        CentralSettings,
        {
            "analyzer": {"listen": "127.0.0.1:0", "state_directory": str(tmp_path / "state")},
            "rules": {"shipped": False, "files": [str(tmp_path / "now.rules.yml")]},
            "runbooks": {"audit_file": str(audit)},
        },
        "test.yml",
    )
    analyzer = Analyzer(settings, lambda: settings)
    await analyzer.start()
    for _ in range(500):
        if analyzer.pipeline.incidents.ordered():
            break
        await asyncio.sleep(0.01)
    yield f"http://{analyzer.address}"
    await analyzer.stop()


async def run(url: str, *arguments: str) -> str:
    result: Result = await asyncio.to_thread(CliRunner().invoke, main, [*arguments, "--url", url])
    assert result.exit_code == 0, result.stderr or result.exception
    return result.stdout


async def test_alerts(url: str) -> None:
    out = await run(url, "alerts", "list")
    assert out.splitlines()[0].split() == ["TIER", "ALERT", "STATE", "SINCE", "SUMMARY"]
    assert "NodeHot" in out
    assert "n1 is at 90 C" in out


async def test_incidents(url: str) -> None:
    out = await run(url, "incidents", "list")
    head, row = out.splitlines()
    assert head.split() == ["INCIDENT", "TIER", "STATE", "OPENED", "WHAT"]
    assert row.startswith("INC-")
    assert "NodeHot on node/n1" in row
    told = await run(url, "incidents", "show", row.split()[0])
    assert told.startswith(f"# {row.split()[0]}")
    assert "opened by P1 NodeHot" in told


async def test_runbooks(url: str) -> None:
    out = await run(url, "runbooks", "list")
    assert "gpu-lost-cordon" in out
    assert "off" in out


async def test_audit(url: str) -> None:
    out = await run(url, "runbooks", "audit")
    assert "it is proposed" in out
    assert "it is done" in out
    assert out.splitlines()[-1]


async def test_other_forms(url: str) -> None:
    as_json = json.loads(await run(url, "incidents", "list", "-o", "json"))
    as_yaml = yaml.safe_load(await run(url, "incidents", "list", "-o", "yaml"))
    assert as_json == as_yaml
    assert as_json["incidents"][0]["tier"] == "P1"
