"""The command line. A command parses its options and calls one function of one room.

Imports of rooms stand inside the commands, so that `fleetowl --help` answers at once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from fleetowl.version import VERSION

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

AGENT = "http://127.0.0.1:9482"
"""Where an agent answers unless configured."""

SHORTEST_INTERVAL = 0.1
"""Seconds between two pictures."""


def _seconds(_: click.Context, parameter: click.Parameter, value: str) -> float:
    from model.moment import parse_duration

    try:
        seconds = parse_duration(value) / 1000
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    if seconds < SHORTEST_INTERVAL:
        raise click.BadParameter(f"{value} is too often: not under {SHORTEST_INTERVAL} s")
    return seconds


class Front(click.Group):
    """Turns a configuration error into its problems on stderr and exit status 2."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        from fleetowl.visible import visible
        from model.settings import ConfigurationError

        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(visible(f"error: {problem}", keep="\n"), err=True)
            count = len(error.problems)
            click.echo(f"{count} problem{'s' if count > 1 else ''}", err=True)
            sys.exit(2)


@click.group(cls=Front, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Log also what is routine.")
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", help="Form of the log on stderr."
)
def main(verbose: bool, log_format: str) -> None:
    """Watch GPU nodes that serve language models, and wake a person only when it matters."""
    from fleetowl.logs import configure

    configure(verbose=verbose, json=log_format == "json")


@main.command()
@CONFIG
def up(config: Path | None) -> None:
    """Run agent and analyzer in one process: all that a single machine needs."""
    from fleetowl.service import run_up

    sys.exit(run_up(config))


@main.command()
@CONFIG
def analyzer(config: Path | None) -> None:
    """Run the central analyzer."""
    from fleetowl.service import run_analyzer

    sys.exit(run_analyzer(config))


@main.command()
@CONFIG
@click.option("--once", is_flag=True, help="Print what it sees and exit: 1 if something does not work.")
@OUTPUT
def agent(config: Path | None, once: bool, output: str) -> None:
    """Run the node agent, or look at this node once."""
    if once:
        from fleetowl.once import run_once

        sys.exit(run_once(config, output, click.echo))
    if output != "table":
        raise click.UsageError("--output says how --once prints; an agent that stays prints nothing")
    from fleetowl.service import run_agent

    sys.exit(run_agent(config))


@main.command()
@click.option("--url", envvar="FLEETOWL_URL", help="An analyzer: all nodes that it knows.")
@click.option(
    "--agent", help="An agent: its node.  [default, unless --url: http://127.0.0.1:9482]", metavar="URL"
)
@click.option(
    "--interval", default="1s", show_default=True, callback=_seconds, help="Time between two pictures."
)
@click.option("--once", is_flag=True, help="Print one picture and exit.")
def top(url: str | None, agent: str | None, interval: float, once: bool) -> None:
    """Watch GPUs and engines in the terminal: of this node, or of all."""
    from fleetowl.top.run import run_top

    sys.exit(run_top(url if not agent else None, agent or AGENT, interval, once))


@main.command()
@click.option(
    "--once", is_flag=True, help="One fault from beginning to end, then exit: 0 if all of it worked."
)
@click.option("--seed", default=1, show_default=True, help="Seed of the simulated cluster.")
def demo(once: bool, seed: int) -> None:
    """Break a simulated cluster and tell what Fleetowl does about it."""
    from simulator.demo import run_demo

    sys.exit(run_demo(seed, once=once))


@main.command("check-config")
@CONFIG
def check_config(config: Path | None) -> None:
    """Check a configuration and the rule files and runbooks that it names."""
    from fleetowl.checks import check_configuration

    for sentence in check_configuration(config):
        click.echo(sentence)


@main.group()
def rules() -> None:
    """Work with rule files."""


@rules.command("check")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUTPUT
def rules_check(paths: tuple[Path, ...], output: str) -> None:
    """Check rule files and PrometheusRule objects, or folders of them; exit 1 if one would not load."""
    from fleetowl.rulefiles import check_rules

    sys.exit(check_rules(paths, output, click.echo))


@rules.command("test")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@OUTPUT
def rules_test(paths: tuple[Path, ...], output: str) -> None:
    """Run promtool's unit tests of rules, files or folders of them; exit 1 if one fails."""
    from fleetowl.rulefiles import run_rule_tests

    sys.exit(run_rule_tests(paths, output, click.echo))


@rules.command("export")
@click.option(
    "--output", "directory", required=True, type=click.Path(path_type=Path), help="Folder to write to."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["rules", "prometheusrule"]),
    default="rules",
    show_default=True,
    help="Plain rule files, or objects of the Prometheus operator.",
)
@click.option(
    "--scrape-interval",
    default="15s",
    show_default=True,
    help="How often your targets are scraped: `$scrapes(n)` becomes n times this.",
)
@click.option(
    "--profile",
    type=click.Choice(["small", "medium", "large"]),
    default="small",
    show_default=True,
    help="Service objectives to judge by; the packs have those of small, others are one more file.",
)
def rules_export(directory: Path, form: str, scrape_interval: str, profile: str) -> None:
    """Write the shipped rules as plain Prometheus reads them."""
    from fleetowl.rulefiles import export_rules

    sys.exit(export_rules(directory, form, scrape_interval, profile, click.echo))


@rules.command("lint")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--engine",
    "engines",
    multiple=True,
    metavar="NAME=VERSION",
    help="Version of a serving engine, as vllm=0.32; the newest known one without it. May be repeated.",
)
@click.option(
    "--scrape-interval", default="15s", show_default=True, help="How often the targets are scraped."
)
@OUTPUT
def rules_lint(paths: tuple[Path, ...], engines: tuple[str, ...], scrape_interval: str, output: str) -> None:
    """Say what loads and yet does not do what it should; exit 1 for warnings and errors."""
    from fleetowl.lint import lint_rules

    sys.exit(lint_rules(paths, engines, scrape_interval, output, click.echo))


@main.group()
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
    _show(url, f"/api/v1/explain/alert/{_quoted(alert)}", "explained alerts", output)


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


@main.group()
def incidents() -> None:
    """See incidents."""


@incidents.command("list")
@URL
@OUTPUT
@click.option("--all", "everything", is_flag=True, help="Also those that are over.")
def incidents_list(url: str, output: str, everything: bool) -> None:
    """List open incidents, the most urgent first; with --all the closed ones after them."""
    _show(url, "/api/v1/incidents" + ("?state=all" if everything else ""), "incidents", output)


@incidents.command("show")
@click.argument("incident")
@URL
@OUTPUT
def incidents_show(incident: str, url: str, output: str) -> None:
    """Tell one incident with its timeline."""
    _show(url, f"/api/v1/incidents/{incident}", "incident", output)


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


@main.command()
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
    _show(url, f"/api/v1/explain/incident/{_quoted(incident)}", "story", output)


@main.group()
def runbooks() -> None:
    """See what was done automatically, and undo it."""


@runbooks.command("list")
@URL
@OUTPUT
def runbooks_list(url: str, output: str) -> None:
    """List the runbooks and their modes."""
    _show(url, "/api/v1/runbooks", "runbooks", output)


@runbooks.command("audit")
@URL
@OUTPUT
def runbooks_audit(url: str, output: str) -> None:
    """List every decision and action of the runbooks, and check that none was altered."""
    _show(url, "/api/v1/runbooks/audit", "audit", output)


@runbooks.command("undo")
@click.argument("run")
@URL
@TOKEN
def runbooks_undo(run: str, url: str, token_file: Path | None) -> None:
    """Take back what a run did, where nobody else has touched it since."""
    from fleetowl.remote import post
    from fleetowl.visible import visible

    click.echo(visible(str(post(url, f"/api/v1/runbooks/undo/{run}", token_file))))


@main.group()
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


@main.group()
def dashboards() -> None:
    """Grafana dashboards."""


@dashboards.command("export")
@click.option(
    "--output", "directory", required=True, type=click.Path(path_type=Path), help="Folder to write to."
)
def dashboards_export(directory: Path) -> None:
    """Write the dashboards as JSON that Grafana imports."""
    from dashboards.export import write

    try:
        written = write(directory)
    except OSError as error:
        click.echo(f"error: {directory} cannot be written to: {error.strerror}", err=True)
        sys.exit(1)
    for path in written:
        click.echo(path)


@main.command()
def version() -> None:
    """Print the version."""
    click.echo(f"fleetowl {VERSION}")


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")


def _show(url: str, path: str, kind: str, output: str) -> None:
    from fleetowl import tables
    from fleetowl.remote import get

    form: Callable[[Any], str] = tables.FORMS[output] if output != "table" else tables.TABLES[kind]
    click.echo(form(get(url, path)))
