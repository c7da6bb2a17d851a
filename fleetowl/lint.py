"""What `rules lint` reads from its options, and what it prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fleetowl.tables import FORMS, table
from model.moment import parse_duration
from model.settings import did_you_mean
from rules.lint.finding import Severity
from rules.lint.lint import Report, lint_paths
from rules.lint.registry import Version, newest_engines, version_of


def lint_rules(
    paths: Sequence[Path],
    engines: Sequence[str],
    scrape_interval: str,
    output: str,
    say: Callable[[str], None],
) -> int:
    """Exit status of `rules lint`: 1 if a finding is a warning or an error.

    Raises click.BadParameter for an option that cannot be read, and ConfigurationError for a path that is
    not there.
    """
    report = lint_paths(paths, _engines(engines), _interval(scrape_interval))
    say(_as_table(report) if output == "table" else FORMS[output](_as_data(report)))
    return 0 if report.clean else 1


def _engines(stated: Sequence[str]) -> dict[str, Version]:
    known, found = newest_engines(), {}
    for text in stated:
        name, equals, version = text.partition("=")
        if not equals:
            raise click.BadParameter(f"{text!r} states no version: write {text}=0.32", param_hint="--engine")
        if name not in known:
            hint = did_you_mean(name, known, "engines")
            raise click.BadParameter(f"{name!r} is no engine that is known ({hint})", param_hint="--engine")
        try:
            found[name] = version_of(version)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--engine") from error
    return found


def _interval(text: str) -> int:
    try:
        interval = parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scrape-interval") from error
    if not interval:
        raise click.BadParameter("must be more than 0: write for example 15s", param_hint="--scrape-interval")
    return interval


def _as_data(report: Report) -> dict[str, Any]:
    findings = [{**asdict(finding), "severity": str(finding.severity)} for finding in report.findings]
    return {"files": report.files, "rules": report.rules, "allowed": report.allowed, "findings": findings}


def _as_table(report: Report) -> str:
    rows = [
        [
            str(finding.severity),
            finding.check,
            ": ".join(filter(None, (finding.file, finding.group, finding.rule))),
            f"{finding.sentence} ({finding.way_out})",
        ]
        for finding in sorted(report.findings, key=lambda finding: -finding.severity)
    ]
    counts = Counter(finding.severity for finding in report.findings)
    found = ", ".join(f"{counts[severity]} {severity}" for severity in reversed(Severity))
    summary = (
        f"rules: {report.rules} in {report.files} files; findings: {found}; "
        f"allowed by comments: {report.allowed}"
    )
    return table(["SEVERITY", "CHECK", "RULE", "WHAT"], rows, "nothing found") + f"\n{summary}"
