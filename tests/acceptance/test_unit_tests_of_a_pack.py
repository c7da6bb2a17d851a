"""A real pack's promtool tests, unchanged: half a minute of evaluations."""

from __future__ import annotations

from pathlib import Path

import pytest

from rules.unittest.report import as_text, run_paths

pytestmark = pytest.mark.acceptance


def test_the_unit_tests_of_a_real_pack_pass_unchanged(shared_data: Path) -> None:
    outcomes = list(run_paths([shared_data / "rulepacks" / "llm-gpu-chrisadkin8"]))
    assert [outcome.tests for outcome in outcomes] == [5, 15]
    assert all(outcome.passed for outcome in outcomes), "\n".join(map(as_text, outcomes))
