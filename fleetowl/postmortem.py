"""Writes the post-mortem of an incident."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import click

from fleetowl.remote import get


def export(url: str, incident: str, file: Path | None, echo: Callable[[str], None]) -> None:
    """Ask the analyzer for it and write it; ends the command with status 1 if that cannot be."""
    text = get(url, f"/api/v1/incidents/{quote(incident, safe='')}")["postmortem"]
    if file is None:
        echo(text.rstrip("\n"))
        return
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file} cannot be written: {error.strerror}") from error
    echo(f"wrote the post-mortem of {incident} to {file}")
