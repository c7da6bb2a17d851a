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
