"""What `fleetowl rules check PATH...` finds: whether these files would load."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from model.settings import ConfigurationError, Problem
from rules.documents import UnitTests
from rules.files import load_rule_file, rule_files, yaml_files
from rules.group import AlertRule, RuleGroup
from rules.sidefile import is_side_file


@dataclass(frozen=True, slots=True)
class Counts:
    """What loaded: files, groups, alerting and recording rules."""

    files: int = 0
    groups: int = 0
    alerts: int = 0
    records: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.files + other.files,
            self.groups + other.groups,
            self.alerts + other.alerts,
            self.records + other.records,
        )


@dataclass
class Checked:
    """What is in the files that would load, what is wrong with the others, and what holds no rules."""

    loaded: dict[Path, Counts] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    tests: list[Path] = field(default_factory=list)
    side_files: list[Path] = field(default_factory=list)

    @property
    def counts(self) -> Counts:
        """The sum over all files."""
        return sum(self.loaded.values(), Counts())


def check_paths(paths: Iterable[Path]) -> Checked:
    """Check files, and all files in folders. Files of unit tests in a folder are passed over."""
    checked = Checked()
    given = set(map(Path, paths := list(paths)))
    for path in rule_files(paths):
        try:
            checked.loaded[path] = _counts(load_rule_file(path))
        except ConfigurationError as error:
            if isinstance(error, UnitTests) and path not in given:
                checked.tests.append(path)
            else:
                checked.problems.extend(error.problems)
    for folder in filter(Path.is_dir, given):
        checked.side_files.extend(filter(is_side_file, yaml_files(folder)))
    return checked


def _counts(groups: list[RuleGroup]) -> Counts:
    rules = [rule for group in groups for rule in group.rules]
    alerts = sum(isinstance(rule, AlertRule) for rule in rules)
    return Counts(1, len(groups), alerts, len(rules) - alerts)
