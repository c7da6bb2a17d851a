"""The pack's lists of codes and the agent's catalogue say the same."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from agent.xid import sxid
from agent.xid.catalogue import catalogue
from rules.group import RuleGroup
from rules.packs import shipped

TABLE = catalogue()
ELSEWHERE = {45, 79, 162}
"""45 follows another code, 79 is GpuLost, 162 ends 163."""


def expressions() -> dict[str, str]:
    path = next(path for path in shipped() if path.name == "gpu-health.rules.yml")
    groups = yaml.safe_load(Path(str(path)).read_text())["groups"]
    return {rule["alert"]: rule["expr"] for group in groups for rule in group["rules"] if "alert" in rule}


def codes_of(alert: str, operator: str) -> set[int]:
    (found,) = re.findall(rf'increase10m\{{\s*xid{operator}"([\d|]+)"', expressions()[alert])
    return {int(code) for code in found.split("|")}


def tiered(*tiers: str) -> set[int]:
    return {code for code, entry in TABLE.items() if entry.tier in tiers} - ELSEWHERE


def test_the_codes_of_a_tier_are_those_of_its_alert() -> None:
    assert codes_of("GpuXidReset", "=~") == tiered("P1")
    assert codes_of("GpuXidDegraded", "=~") == tiered("P2")
    assert codes_of("GpuXidOther", "!~") == tiered("P0", "P1", "P2") | ELSEWHERE


def test_only_79_is_p0_by_default() -> None:
    assert {code for code, entry in TABLE.items() if entry.tier == "P0"} == {79}


def test_codes_that_repeat_without_the_agent_s_verdict_have_a_rule_in_the_catalogue() -> None:
    (found,) = set(re.findall(r'increase10m\{xid=~"([\d|]+)"', expressions()["GpuXidRepeats"]))
    for code in found.split("|"):
        assert TABLE[int(code)].repeat is not None


def test_an_unknown_code_notifies_and_no_runbook_acts_on_it(pack_groups: list[RuleGroup]) -> None:
    assert 999 not in codes_of("GpuXidOther", "!~")
    path = next(path for path in shipped() if path.name == "gpu-health.rules.yml")
    side = yaml.safe_load(Path(str(path).replace(".rules.", ".fleetowl.")).read_text())["gpu-xid"]
    assert not any("runbook" in extras for extras in side.values())


def test_what_a_switch_corrects_by_itself_is_silent() -> None:
    (found,) = re.findall(r'sxid!~"([^"]+)"', expressions()["NvswitchErrors"])
    quiet = {code for code in range(10_000, 30_000) if re.fullmatch(found, str(code))}
    app_dies = {11004, 12028, 19084}
    never = {code for code in range(10_000, 30_000) if sxid.meaning(code).fatal == "never"}
    assert quiet == never - app_dies
