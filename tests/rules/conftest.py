"""What the rule tests share."""

from __future__ import annotations

import pytest

from model.moment import MINUTE
from rules.files import load_rule_files
from rules.group import RuleGroup
from rules.packs import shipped


@pytest.fixture(scope="session")
def pack_groups() -> list[RuleGroup]:
    """The shipped packs."""
    return load_rule_files(shipped(), 15 * MINUTE)


@pytest.fixture(scope="session")
def stall_groups(pack_groups: list[RuleGroup]) -> list[RuleGroup]:
    """The groups that watch whether engines are there and move: a replay each second of them is quick."""
    return [group for group in pack_groups if group.name in ("availability", "engine-stall")]
