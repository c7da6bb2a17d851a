"""The shipped rule packs: plain Prometheus rule files, with a side file where Fleetowl knows more."""

from __future__ import annotations

from pathlib import Path


def shipped() -> list[Path]:
    """The rule files that come with Fleetowl, in a stable order."""
    return sorted(Path(__file__).parent.glob("*.rules.yml"))
