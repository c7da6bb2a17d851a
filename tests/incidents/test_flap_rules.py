"""What a rule's side file says of flapping reaches the stage that damps ends."""

from __future__ import annotations

from analyzer.alerting import compose, flapping_by
from analyzer.central import CentralSettings
from incidents.flap import FlapRule, FlapStage
from model.topology import Topology
from rules.files import load_rule_files
from rules.group import AlertRule
from rules.packs import shipped
from tests.incidents.scene import MINUTE


def test_the_rules_own_settings_reach_the_stage() -> None:
    own = {"LinkFlaps": FlapRule(2, MINUTE, 2 * MINUTE)}
    alerting = compose(CentralSettings(), Topology(), {}, flaps=own)
    stage = next(stage for stage in alerting.stages if isinstance(stage, FlapStage))
    assert stage._rules == own
    alerting.reconfigure(CentralSettings(), {}, 0, {})
    assert stage._rules == {}


def test_they_are_read_from_the_side_files() -> None:
    groups = load_rule_files(shipped(), 15 * MINUTE)
    stated = {
        rule.name
        for group in groups
        for rule in group.rules
        if isinstance(rule, AlertRule) and rule.extras.flap is not None
    }
    assert set(flapping_by(groups)) == stated
