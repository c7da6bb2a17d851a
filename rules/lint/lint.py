"""`fleetowl rules lint PATH...`: every check on every rule."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from model.moment import SECOND
from model.settings import ConfigurationError, Problem
from rules.files import rule_files
from rules.lint.finding import Finding, Severity
from rules.lint.reading import RuleFile, read_rules
from rules.lint.registry import Check, Surroundings, Version, discover
from rules.lint.rule import LintedRule


@dataclass(frozen=True, slots=True)
class Report:
    """All findings in the order of the files, and what was looked at."""

    findings: tuple[Finding, ...]
    files: int
    rules: int
    allowed: int
    """Findings that a comment let pass."""

    @property
    def clean(self) -> bool:
        """Whether nothing is worse than an info."""
        return all(finding.severity is Severity.INFO for finding in self.findings)


def lint_paths(
    paths: Iterable[Path], engines: Mapping[str, Version] | None = None, scrape_interval: int = 15 * SECOND
) -> Report:
    """What the checks find in these files, and in the rule files below these folders.

    `engines` holds stated versions, `scrape_interval` is in ms. Raises ConfigurationError for a path that is
    not there.
    """
    files = rule_files(_there(list(paths)))
    read = [read_rules(file) for file in files]
    rules = [rule for each in read for rule in each.rules]
    around = Surroundings(rules, engines, scrape_interval)
    checks = discover()
    findings: list[Finding] = []
    allowed = 0
    for each in read:
        findings += each.findings
        for rule in each.rules:
            reasons = each.allowed.get((rule.group, rule.number), {})
            for finding in _found(rule, around, checks):
                if reasons.get(finding.check):
                    allowed += 1
                else:
                    findings.append(finding)
        findings += _doubtful(each, checks)
    return Report(tuple(findings), len(files), len(rules), allowed)


def _there(paths: list[Path]) -> list[Path]:
    missing = [
        Problem(str(path), "", "there is no such file or folder") for path in paths if not path.exists()
    ]
    if missing:
        raise ConfigurationError(missing)
    return paths


def _found(rule: LintedRule, around: Surroundings, checks: Mapping[str, Check]) -> Iterator[Finding]:
    for name, check in checks.items():
        for remark in dict.fromkeys(check.find(rule, around)):
            yield Finding(
                rule.file, rule.group, rule.name, name, remark.severity, remark.sentence, remark.way_out
            )


def _doubtful(file: RuleFile, checks: Mapping[str, Check]) -> Iterator[Finding]:
    """Comments that allow nothing: no such check, or no reason given."""
    for rule in file.rules:
        for name, reason in file.allowed.get((rule.group, rule.number), {}).items():
            if name not in checks:
                sentence, way_out = f"there is no check {name!r}", f"known checks: {', '.join(checks)}"
            elif not reason:
                sentence = f"`lint: allow {name}` says no reason, and allows nothing without one"
                way_out = f"write `# lint: allow {name} <reason>`"
            else:
                continue
            yield Finding(rule.file, rule.group, rule.name, "allow", Severity.WARNING, sentence, way_out)
