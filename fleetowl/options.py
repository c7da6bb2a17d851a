"""Options that several commands have, and how they show an answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

CONFIG = click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    envvar="FLEETOWL_CONFIG",
    help="The configuration file; defaults hold without one.",
)
URL = click.option(
    "--url",
    envvar="FLEETOWL_URL",
    default="http://127.0.0.1:9480",
    show_default=True,
    help="The analyzer to ask.",
)
OUTPUT = click.option(
    "--output",
    "-o",
    type=click.Choice(["table", "json", "yaml"]),
    default="table",
    help="Form of the answer.",
)


TOKEN = click.option("--token-file", type=click.Path(path_type=Path), help="File of the analyzer's token.")


def show(url: str, path: str, kind: str, output: str) -> None:
    """Ask the analyzer at `url`, and print the answer in the form that is asked for."""
    from fleetowl import tables
    from fleetowl.remote import get

    form: Callable[[Any], str] = tables.FORMS[output] if output != "table" else tables.TABLES[kind]
    click.echo(form(get(url, path)))
