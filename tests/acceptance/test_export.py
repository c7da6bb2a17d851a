"""The shipped rules as exported, and their unit tests, in the real promtool."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rules.export import Export
from rules.packs import PROFILES, shipped, unit_tests


@pytest.mark.acceptance
@pytest.mark.peer
@pytest.mark.parametrize("pack", [path.name.removesuffix(".test.yml") for path in unit_tests()])
def test_promtool_passes_the_tests_of_a_pack_beside_its_export(pack: str, tmp_path: Path) -> None:
    Export().write(shipped(), tmp_path / "out")
    test = shutil.copy(unit_tests()[0].with_name(f"{pack}.test.yml"), tmp_path / "out")
    answer = subprocess.run(["promtool", "test", "rules", test], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.acceptance
@pytest.mark.peer
@pytest.mark.parametrize("profile", PROFILES)
def test_promtool_checks_the_exports(profile: str, tmp_path: Path) -> None:
    written = Export().write(shipped(profile), tmp_path / "out")
    answer = subprocess.run(
        ["promtool", "check", "rules", *map(str, written)], capture_output=True, text=True
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
