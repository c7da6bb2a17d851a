"""What the commands about people do: acknowledge an incident, say who is on duty."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import click

from fleetowl.remote import get, post
from fleetowl.tables import FORMS, table
from fleetowl.visible import visible

DEFAULT_URL = "http://127.0.0.1:9480"


def acknowledge(url: str, incident: str, who: str | None, token_file: Path | None, *, undo: bool) -> str:
    """Tell the analyzer whose incident it is; its sentence."""
    if who is not None and not who.strip():
        raise click.UsageError(
            "--who is empty: say whose the incident is, or leave --who out to be it yourself"
        )
    query = urlencode({"who": who or user(), "how": "the command line"})
    path = f"/api/v1/incidents/{quote(incident, safe='')}/{'unack' if undo else 'ack'}?{query}"
    return visible(str(post(url, path, token_file)))


def show(config: Path | None, url: str | None, output: str) -> str:
    """Who is on duty: from the configuration file if one is named, else as an analyzer says."""
    if config is not None and url is None:
        schedules = _from_file(config)
    else:
        schedules = get(url or DEFAULT_URL, "/api/v1/oncall")["schedules"]
    return FORMS[output](schedules) if output != "table" else _table(schedules)


def _from_file(config: Path) -> list[dict[str, str]]:
    from analyzer.assembly import prepare
    from fleetowl.configuration import load
    from incidents.people.policy import Policies

    settings = prepare(load(config)).settings
    return Policies(settings.incidents.on_call).duties(time.time_ns() // 1_000_000)


def _table(schedules: list[dict[str, Any]]) -> str:
    rows = [[one["schedule"], one["now"] or "nobody", one["next"], one["from"]] for one in schedules]
    return table(["SCHEDULE", "NOW", "NEXT", "FROM"], rows, "there are no schedules: see incidents.on_call")


def user() -> str:
    """The name of who runs this, empty if nobody knows it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""
