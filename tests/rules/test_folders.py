"""Folders of rule files, as Kubernetes mounts them too."""

from __future__ import annotations

from pathlib import Path

from rules.files import rule_files

RULES = "groups: [{name: a, rules: [{alert: A, expr: up == 0}]}]\n"


def test_a_mounted_configmap_is_read_once(tmp_path: Path) -> None:
    version = tmp_path / "..2026_11_20"
    version.mkdir()
    (version / "mine.yml").write_text(RULES)
    (tmp_path / "..data").symlink_to(version)
    (tmp_path / "mine.yml").symlink_to("..data/mine.yml")
    assert rule_files([tmp_path]) == [tmp_path / "mine.yml"]


def test_side_files_are_no_rule_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for name in ("b.yaml", "deep/a.yml", "b.fleetowl.yml"):
        (tmp_path / name).write_text(RULES)
    assert rule_files([tmp_path]) == [tmp_path / "b.yaml", tmp_path / "deep" / "a.yml"]
