"""What every shipped alert has: tiers, pages, plain Prometheus syntax, and texts that say what is there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from model.alert import Tier
from model.moment import SECOND
from rules.group import AlertRule, RuleGroup
from rules.packs import shipped
from rules.promql.scrapes import with_interval

ROOT = Path(__file__).resolve().parent.parent.parent


def alert_rules(groups: list[RuleGroup]) -> list[AlertRule]:
    return [rule for group in groups for rule in group.rules if isinstance(rule, AlertRule)]


def test_every_alert_has_what_a_person_needs_at_night(pack_groups: list[RuleGroup]) -> None:
    rules = alert_rules(pack_groups)
    known = {rule.name for rule in rules}
    tiers = set()
    for rule in rules:
        assert {"tier", "kind", "severity"} <= rule.labels.keys(), rule.name
        tiers.add(rule.labels["tier"].text)
        assert rule.annotations["runbook_url"].text == f"docs/runbooks/{rule.name}.md"
        page = (ROOT / rule.annotations["runbook_url"].text).read_text()
        assert page.startswith(f"# {rule.name}\n")
        assert all(
            heading in page for heading in ("## What it means", "## First checks", "## What Fleetowl does")
        )
        assert len(rule.annotations["description"].text) > 80
        assert set(rule.extras.explains) <= known, rule.name
    assert tiers == {tier.name for tier in Tier}


@pytest.mark.peer
def test_the_packs_are_plain_prometheus_rules(tmp_path: Path) -> None:
    for path in shipped():
        (tmp_path / path.name).write_text(with_interval(path.read_text(), 15 * SECOND))
    files = sorted(str(path) for path in tmp_path.iterdir())
    answer = subprocess.run(["promtool", "check", "rules", *files], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_text_says_nothing_that_is_not_there(pack_groups: list[RuleGroup]) -> None:
    for rule in alert_rules(pack_groups):
        for template in rule.annotations.values():
            used = set(re.findall(r"\$labels\.(\w+)", template.text))
            assert used <= {
                *("instance", "job", "engine", "model_name", "node", "gpu", "UUID"),
                *("Hostname", "hostname", "device", "mountpoint", "rack", "xid", "metric", "export", "port"),
                *("namespace", "pod", "container", "condition", "call"),
                *("file", "group", "collector", "receiver", "integration", "nvswitch", "sxid"),
            }, rule.name
