"""The commands about alerts, incidents, silences and who is on duty."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from fleetowl.options import CONFIG, OUTPUT, TOKEN, URL, show


@click.group()
def alerts() -> None:
    """See alerts."""


@alerts.command("list")
@URL
@OUTPUT
def alerts_list(url: str, output: str) -> None:
    """List the alerts that are pending or fire, of rules or sent by others, and what holds them back."""
    from fleetowl.silences import list_alerts

    list_alerts(url, output, click.echo)


@alerts.command("explain")
@click.argument("alert", metavar="FINGERPRINT|NAME|MATCHERS")
@URL
@OUTPUT
def alerts_explain(alert: str, url: str, output: str) -> None:
    """Say why an alert paged, or why it did not: from its samples to the receivers' answers."""
    show(url, f"/api/v1/explain/alert/{_quoted(alert)}", "explained alerts", output)


@alerts.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUTPUT
def alerts_test(paths: tuple[Path, ...], output: str) -> None:
    """Run tests of routes, inhibition, silences and times (docs/alerts-testing.md); exit 1 if one fails."""
    from fleetowl.alert_tests import run_alert_tests

    sys.exit(run_alert_tests(paths, output, click.echo))


@alerts.command("simulate")
@click.option(
    "--config",
    "-c",
    type=click.Path(path_type=Path),
    help="A fleetowl.yml or a plain alertmanager.yml; defaults hold without one.",
)
@click.option(
    "--history",
    required=True,
    type=click.Path(path_type=Path),
    help='Recorded alerts, JSON lines {"at": ..., "alert": {...}, "fault": ...}.',
)
@click.option(
    "--silences",
    type=click.Path(path_type=Path),
    help="Silences as `amtool silence query -o json` prints them.",
)
@click.option("--until", default="", help="When to stop, RFC 3339 or Unix seconds.")
@click.option(
    "--without",
    "off",
    multiple=True,
    metavar="STAGE",
    help="Leave out a stage: time_intervals, inhibit, silence, topology, flap, grouping... May be repeated.",
)
@OUTPUT
def alerts_simulate(
    config: Path | None,
    history: Path,
    silences: Path | None,
    until: str,
    off: tuple[str, ...],
    output: str,
) -> None:
    """Say what a configuration would have sent; exit 1 if nobody had heard of one of the faults."""
    from fleetowl.simulate import simulate_alerts

    sys.exit(simulate_alerts(config, history, silences, until, off, output, click.echo))


@click.group()
def incidents() -> None:
    """See incidents."""


@incidents.command("list")
@URL
@OUTPUT
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
def incidents_list(url: str, output: str, everything: bool) -> None:
    """List open incidents, the most urgent first; with --all the closed ones after them."""
    show(url, "/api/v1/incidents" + ("?state=all" if everything else ""), "incidents", output)


@incidents.command("show")
@click.argument("incident")
@URL
@OUTPUT
def incidentsshow(incident: str, url: str, output: str) -> None:
    """Tell one incident with its timeline."""
    show(url, f"/api/v1/incidents/{incident}", "incident", output)


@incidents.command("export")
@click.argument("incident")
@click.option("--output", "file", type=click.Path(path_type=Path), help="Write it here, not to stdout.")
@URL
def incidents_export(incident: str, file: Path | None, url: str) -> None:
    """Write a Markdown post-mortem of an incident, as far as it is known."""
    from fleetowl.postmortem import export

    export(url, incident, file, click.echo)


@incidents.command("ack")
@click.argument("incident")
@click.option("--who", help="Whose it is from now on.  [default: your user name]")
@click.option("--undo", is_flag=True, help="Nobody has it any more: its escalation begins anew.")
@URL
@TOKEN
def incidents_ack(incident: str, who: str | None, undo: bool, url: str, token_file: Path | None) -> None:
    """Say that you look after an incident: nobody else is notified, unless it grows."""
    from fleetowl.on_call import acknowledge

    click.echo(acknowledge(url, incident, who, token_file, undo=undo))


@click.command()
@CONFIG
@click.option("--url", envvar="FLEETOWL_URL", help="The analyzer to ask, instead of a configuration file.")
@OUTPUT
def oncall(config: Path | None, url: str | None, output: str) -> None:
    """Who is on duty now, and who is next."""
    from fleetowl.on_call import show

    click.echo(show(config, url, output))


@incidents.command("explain")
@click.argument("incident")
@URL
@OUTPUT
def incidents_explain(incident: str, url: str, output: str) -> None:
    """Say of an incident and each of its alerts who was paged, who was not, and why."""
    show(url, f"/api/v1/explain/incident/{_quoted(incident)}", "story", output)


@click.group()
def silence() -> None:
    """Hold back the notifications of some alerts for a time."""


@silence.command("add")
@click.argument("matchers", nargs=-1, required=True)
@click.option(
    "--duration",
    "--for",
    "-d",
    "duration",
    default="1h",
    show_default=True,
    help="How long it lasts from now on.",
)
@click.option("--comment", required=True, help="Why; whoever looks at it later wants to know.")
@click.option("--author", help="Who says so.  [default: $USER]")
@click.option("--dry-run", is_flag=True, help="Only say how many alerts it would match.")
@URL
@TOKEN
@OUTPUT
def silence_add(
    matchers: tuple[str, ...],
    duration: str,
    comment: str,
    author: str | None,
    dry_run: bool,
    url: str,
    token_file: Path | None,
    output: str,
) -> None:
    """Silence what matches all MATCHERS, as node=n1 or tier=~"P2|P3"; a bare word is an alert's name."""
    from fleetowl.silences import add_silence

    add_silence(url, matchers, duration, comment, author, token_file, output, click.echo, dry_run=dry_run)


@silence.command("list")
@click.argument("matchers", nargs=-1)
@click.option("--expired", is_flag=True, help="Also those that are over.")
@URL
@OUTPUT
def silence_list(matchers: tuple[str, ...], expired: bool, url: str, output: str) -> None:
    """List silences, or those whose own matchers fit MATCHERS."""
    from fleetowl.silences import list_silences

    list_silences(url, matchers, output, click.echo, expired=expired)


@silence.command("expire")
@click.argument("ids", nargs=-1, required=True)
@URL
@TOKEN
def silence_expire(ids: tuple[str, ...], url: str, token_file: Path | None) -> None:
    """End silences now."""
    from fleetowl.silences import expire_silences

    expire_silences(url, ids, token_file, click.echo)


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
