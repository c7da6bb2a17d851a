"""What `alerts simulate` says."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from analyzer.simulation import read_history, simulate
from analyzer.simulation.ablation import SWITCHES
from analyzer.simulation.silences import read_silences
from fleetowl import tables
from fleetowl.alerting_file import load_alerting
from fleetowl.visible import visible
from model.moment import parse_moment

LISTED = 200
"""So many notifications stand in the table; json and yaml have all."""

Say = Callable[[str], None]


def hush() -> None:
    """What is only simulated is no news: the log of this process has nothing of it."""
    for room in ("fleetowl.alertmanager", "fleetowl.incidents"):
        logging.getLogger(room).setLevel(logging.WARNING)


def simulate_alerts(
    config: Path | None,
    history: Path,
    silences: Path | None,
    until: str,
    off: Sequence[str],
    output: str,
    say: Say,
) -> int:
    """Exit status of `alerts simulate`. Raises ConfigurationError for a file that cannot be used."""
    if unknown := [name for name in off if name not in SWITCHES]:
        known = ", ".join(SWITCHES)
        raise click.BadParameter(f"{unknown[0]!r} is none of {known}", param_hint="--without")
    try:
        end = parse_moment(until) if until else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--until") from error
    hush()
    settings, explains = load_alerting(config)
    drafts = read_silences(silences) if silences is not None else []
    result = simulate(read_history(history), settings, explains, off=off, silences=drafts, until=end)
    for warning in result.warnings:
        click.echo(visible(f"warning: {history}: {warning}"), err=True)
    document = result.document()
    say("\n".join(_blocks(document)) if output == "table" else tables.FORMS[output](document))
    return 1 if result.suppressed else 0


def _blocks(document: dict[str, Any]) -> Iterator[str]:
    told = document["notifications"]
    yield f"{_count(len(told), 'notification')} from {document['from']} until {document['until']}"
    yield ""
    yield _notifications(told)
    yield from _figures(document)
    yield from _faults(document)


def _notifications(told: list[dict[str, Any]]) -> str:
    rows = [
        [
            one["at"],
            one["receiver"],
            one["status"],
            one["tier"],
            f"{one['firing']}+{one['resolved']}",
            one["title"],
            one["why"],
        ]
        for one in told[:LISTED]
    ]
    head = ["AT", "RECEIVER", "STATUS", "TIER", "FIRING+ENDED", "WHAT", "WHY"]
    text = tables.table(head, rows, "nothing would have been sent")
    rest = len(told) - LISTED
    return text if rest <= 0 else f"{text}\nand {rest} more: -o json has all"


def _figures(document: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield tables.table(
        ["STAGE", "COUNT"], [[stage, str(count)] for stage, count in document["noise"].items()], ""
    )
    rows = [
        [name, str(counts.get("firing", 0)), str(counts.get("resolved", 0))]
        for name, counts in document["receivers"].items()
    ]
    if rows:
        yield ""
        yield tables.table(["RECEIVER", "FIRING", "RESOLVED"], rows, "")
    silent = [one for one in document["alerts"] if one["told_at"] is None]
    if silent:
        yield ""
        rows = [[_name(one), one["began_at"], one["why"]] for one in silent[:LISTED]]
        yield tables.table(["NOT TOLD", "BEGAN", "WHY"], rows, "")


def _faults(document: dict[str, Any]) -> Iterator[str]:
    if not document["faults"]:
        return
    rows = []
    for one in document["faults"]:
        page = one["seconds_to_first_page"]
        first = "never told" if page is None else f"{page:g} s"
        rows.append([one["fault"], str(one["alerts"]), str(one["firing"]), str(one["resolved"]), first])
    yield ""
    yield tables.table(["FAULT", "ALERTS", "FIRING", "RESOLVED", "FIRST PAGE"], rows, "")
    wrong = [one for one in document["faults"] if not one["told"]]
    yield ""
    yield f"faults of which nobody would have heard: {len(wrong)} of {len(document['faults'])}"
    for one in wrong:
        for why in one["why"]:
            yield visible(f"  {one['fault']}: {why}")


def _name(alert: dict[str, Any]) -> str:
    labels = alert["labels"]
    rest = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "alertname")
    return f"{labels.get('alertname', '')}{{{rest}}}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
