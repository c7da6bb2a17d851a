"""What `check-config` says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def check_configuration(path: Path | None) -> Iterator[str]:
    """Load everything that a start would load. Raises ConfigurationError with what is wrong."""
    from analyzer.assembly import prepare
    from fleetowl.configuration import load

    plan = prepare(load(path))
    rules = sum(len(group.rules) for group in plan.groups)
    yield f"{path or 'the defaults'}: fine"
    yield f"rules: {rules} in {len(plan.groups)} groups; runbooks: {len(plan.runbooks)}"
