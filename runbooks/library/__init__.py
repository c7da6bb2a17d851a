"""The runbooks that ship with Fleetowl: one YAML file each, in dry-run mode until told otherwise."""

from __future__ import annotations

from pathlib import Path


def shipped() -> Path:
    """The folder of the shipped runbooks."""
    return Path(__file__).parent
