"""What `check-config` and `rules check` say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click


def check_configuration(path: Path | None) -> Iterator[str]:
    """Load everything that a start would load. Raises ConfigurationError with what is wrong."""
    from analyzer.assembly import prepare
    from fleetowl.configuration import load

    plan = prepare(load(path))
    rules = sum(len(group.rules) for group in plan.groups)
    yield f"{path or 'the defaults'}: fine"
    yield f"rules: {rules} in {len(plan.groups)} groups; runbooks: {len(plan.runbooks)}"


def check_rules(paths: Sequence[Path], say: Callable[[str], None]) -> int:
    """Exit status of `rules check`: 1 if a file would not load."""
    from rules.check import check_paths

    problems, counts = check_paths(paths)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    say(
        f"files that are fine: {counts.files}; {counts.groups} groups, {counts.alerts} alerting and "
        f"{counts.records} recording rules"
    )
    return 1 if problems else 0
