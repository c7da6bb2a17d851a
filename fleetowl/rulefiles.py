"""What `rules check`, `rules test` and `rules export` say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from fleetowl import tables
from model.settings import ConfigurationError, Problem

Say = Callable[[str], None]


def check_rules(paths: Sequence[Path], output: str, say: Say) -> int:
    """Exit status of `rules check`: 1 if a file would not load. Raises ConfigurationError for wrong paths."""
    from rules.check import Checked, check_paths

    missing = [Problem(str(path), "", "does not exist") for path in paths if not path.exists()]
    if missing:
        raise ConfigurationError(missing)
    checked: Checked = check_paths(paths)
    if not checked.loaded and not checked.problems:
        raise ConfigurationError(
            [Problem(", ".join(map(str, paths)), "", "no rule file is there", "they end in .yml or .yaml")]
        )
    for problem in checked.problems:
        click.echo(f"error: {problem}", err=True)
    for kind, skipped in (("unit tests", checked.tests), ("side files", checked.side_files)):
        if skipped:
            click.echo(f"passed over, {kind}: {', '.join(map(str, skipped))}", err=True)
    data = {
        "files": [
            {"file": str(path), "groups": counts.groups, "alerts": counts.alerts, "records": counts.records}
            for path, counts in checked.loaded.items()
        ],
        "problems": [asdict(problem) for problem in checked.problems],
        "passed_over": [str(path) for path in (*checked.tests, *checked.side_files)],
    }
    say(_checked_table(data) if output == "table" else tables.FORMS[output](data))
    return 1 if checked.problems else 0


def _checked_table(data: dict[str, Any]) -> str:
    counted = ("groups", "alerts", "records")
    rows = [[entry["file"], *(str(entry[name]) for name in counted)] for entry in data["files"]]
    total = [str(sum(entry[name] for entry in data["files"])) for name in counted]
    if len(rows) > 1:
        rows.append([f"{len(rows)} files", *total])
    return tables.table(["FILE", "GROUPS", "ALERTS", "RECORDS"], rows, "no file would load")


def run_rule_tests(paths: Sequence[Path], output: str, say: Say) -> int:
    """Exit status of `rules test`: 1 if a test fails. Raises ConfigurationError for wrong paths."""
    from rules.unittest.report import as_data, as_text, run_paths

    outcomes = []
    for outcome in run_paths(paths):
        outcomes.append(outcome)
        if output == "table":
            say(as_text(outcome))
    if output != "table":
        say(tables.FORMS[output](as_data(outcomes)))
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def export_rules(directory: Path, form: str, scrape_interval: str, profile: str, say: Say) -> int:
    """Exit status of `rules export`. Raises ConfigurationError for what would be overwritten."""
    from model.moment import parse_duration
    from rules.export import Export, Form
    from rules.packs import shipped

    try:
        interval = parse_duration(scrape_interval)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--scrape-interval") from error
    if interval <= 0:
        raise click.BadParameter("must be longer than 0s", param_hint="--scrape-interval")
    try:
        written = Export(Form(form), interval).write(shipped(profile), directory)
    except OSError as error:
        click.echo(f"error: {directory} cannot be written to: {error.strerror}", err=True)
        return 1
    for path in written:
        say(str(path))
    return 0
