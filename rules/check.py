"""What `fleetowl rules check PATH...` finds: whether these files would load."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from model.settings import ConfigurationError, Problem
from rules.files import load_rule_file, rule_files
from rules.group import AlertRule


@dataclass(frozen=True, slots=True)
class Counts:
    """What loaded: files, groups, alerting and recording rules."""

    files: int = 0
    groups: int = 0
    alerts: int = 0
    records: int = 0


def check_paths(paths: Iterable[Path]) -> tuple[list[Problem], Counts]:
    """All problems of these files and folders, and what is in the files that have none."""
    problems: list[Problem] = []
    files = groups = alerts = records = 0
    for path in rule_files(paths):
        try:
            found = load_rule_file(path)
        except ConfigurationError as error:
            problems.extend(error.problems)
            continue
        files += 1
        groups += len(found)
        rules = [rule for group in found for rule in group.rules]
        alerts += sum(isinstance(rule, AlertRule) for rule in rules)
        records += sum(not isinstance(rule, AlertRule) for rule in rules)
    return problems, Counts(files, groups, alerts, records)
