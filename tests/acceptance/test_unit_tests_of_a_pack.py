"""Unit tests that go over days: those of a real pack, unchanged, and of our own slowest packs."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.packs import unit_tests
from rules.unittest.report import as_text, run_paths
from tests.rules.test_pack_tests import SLOW_PACKS

pytestmark = pytest.mark.acceptance


def test_the_unit_tests_of_a_real_pack_pass_unchanged(shared_data: Path) -> None:
    outcomes = list(run_paths([shared_data / "rulepacks" / "llm-gpu-chrisadkin8"]))
    assert [outcome.tests for outcome in outcomes] == [5, 15]
    assert all(outcome.passed for outcome in outcomes), "\n".join(map(as_text, outcomes))


@pytest.mark.parametrize("pack", sorted(SLOW_PACKS))
def test_the_tests_of_the_pack_pass(pack: str) -> None:
    [path] = [path for path in unit_tests() if path.name == f"{pack}.test.yml"]
    [outcome] = run_paths([path])
    assert outcome.passed, as_text(outcome)
