"""Target files (file_sd): found by glob, read when they change, the last good contents kept.

The reading is given in from outside, so everything here can be tested without a disk.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from telemetry.scrape import FileSDConfig, StaticConfig, TargetGroup

Read = Callable[[str], bytes]
Find = Callable[[str], list[str]]

_GROUPS = TypeAdapter(list[StaticConfig])
_LARGEST = 64 * 1024 * 1024


def _read(path: str) -> bytes:
    return Path(path).read_bytes()


def read_file_sd(
    patterns: Iterable[str], read: Read = _read, find: Find = glob.glob
) -> tuple[dict[str, list[TargetGroup]], dict[str, str]]:
    """Target groups by path, and what is wrong with the files that could not be read, by path.

    `find` gives the paths of a pattern, `read` a file's bytes (OSError if it cannot).
    """
    groups: dict[str, list[TargetGroup]] = {}
    problems: dict[str, str] = {}
    for path in sorted({path for pattern in patterns for path in find(pattern)}):
        try:
            groups[path] = parse_file_sd(path, read(path))
        except (OSError, ValueError) as error:
            problems[path] = f"{path}: {error}"
    return groups, problems


def parse_file_sd(path: str, data: bytes) -> list[TargetGroup]:
    """The groups of one file. Raises ValueError with what is wrong, all at once."""
    if len(data) > _LARGEST:
        raise ValueError(f"{len(data)} bytes are more than a target file may have")
    try:
        found = _GROUPS.validate_python(_load(path, data) or [])
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}"
            for one in error.errors()
        )
        raise ValueError(wrong) from error
    labels = {"__meta_filepath": path}
    return [
        TargetGroup(f"{path}:{number}", tuple(group.targets), {**group.labels, **labels})
        for number, group in enumerate(found)
    ]


def _load(path: str, data: bytes) -> Any:
    try:
        return json.loads(data) if path.lower().endswith(".json") else yaml.safe_load(data)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"neither JSON nor YAML: {error}".replace("\n", " ")) from error


class FileDiscovery:
    """The target files of one job. A file that becomes unreadable keeps its last good targets."""

    def __init__(self, configs: Iterable[FileSDConfig], read: Read = _read, find: Find = glob.glob) -> None:
        self._patterns = [pattern for config in configs for pattern in config.files]
        self._read, self._find = read, find
        self._groups: dict[str, list[TargetGroup]] = {}
        self.problems: dict[str, str] = {}

    @property
    def groups(self) -> list[TargetGroup]:
        """What the files say, in the order of their paths."""
        return [group for path in sorted(self._groups) for group in self._groups[path]]

    def refresh(self) -> bool:
        """Read the files; whether the targets differ now. A file that is gone takes its targets along."""
        groups, self.problems = read_file_sd(self._patterns, self._read, self._find)
        for path in self.problems:
            if path in self._groups:
                groups[path] = self._groups[path]
        changed, self._groups = groups != self._groups, groups
        return changed
