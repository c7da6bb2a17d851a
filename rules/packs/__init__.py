"""The shipped rule packs: plain Prometheus rule files, each with a side file for what Fleetowl adds."""

from __future__ import annotations

from pathlib import Path


def shipped() -> list[Path]:
    """The rule files that come with Fleetowl, in a stable order."""
    return sorted(Path(__file__).parent.glob("*.rules.yml"))
