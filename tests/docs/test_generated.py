"""Documents that list things must list what there is."""

from __future__ import annotations

from pathlib import Path

import yaml

from agent.xid.catalogue import catalogue
from docs.generate import configuration_page, metrics, stale, xid_page
from rules.lint.registry import discover
from rules.packs import shipped

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_generated_pages_are_current() -> None:
    assert stale() == [], "run python -m docs.generate"


def test_every_check_of_rules_is_documented() -> None:
    text = (DOCS / "writing-rules.md").read_text()
    assert [name for name in discover() if f"| `{name}` |" not in text] == []


def test_every_alert_has_its_page() -> None:
    for path in shipped():
        for group in yaml.safe_load(path.read_text())["groups"]:
            for rule in group["rules"]:
                if "alert" in rule:
                    link = rule["annotations"]["runbook_url"].rpartition("/")[2]
                    assert (DOCS / "runbooks" / link).is_file(), f"{rule['alert']}: no docs/runbooks/{link}"


def test_the_map_of_the_house_names_every_room() -> None:
    text = (DOCS / "architecture.md").read_text()
    root = DOCS.parent
    rooms = [path.parent.name for path in root.glob("*/__init__.py")]
    assert [room for room in rooms if f"`{room}/`" not in text] == []


def test_a_metric_is_listed_once() -> None:
    names = [metric.name for families in metrics().values() for metric in families]
    assert sorted(set(names)) == sorted(names)
    assert {"fleetowl_gpu_driver_devices", "fleetowl_gpu_status", "fleetowl_tick_step_seconds"} <= set(names)


def test_every_xid_with_a_meaning_is_listed() -> None:
    text = xid_page()
    for code, entry in catalogue().items():
        assert (f"| {code} | {entry.class_} |" in text) == (entry.action != "unknown"), code
    assert "| 63 | P2 reset_idle | P3 ignore | P1 replace | P1 reboot_node | P1 drain_reset |" in text
    assert "| 23001-23017 | yes |" in text


def test_defaults_stand_as_in_the_file() -> None:
    text = configuration_page()
    for key, written in (
        ("alertmanager.fleetowl.resolve_wait", "15s"),
        ("incidents.ignored_alerts", "[Watchdog]"),
        ("agent.push.spool.max_bytes", "256MiB"),
        ("runbooks.enabled", "false"),
    ):
        assert f"| `{key}` | `{written}` |" in text
