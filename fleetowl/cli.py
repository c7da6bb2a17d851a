"""The command line. A command parses its options and calls one function of one room.

Imports of rooms stand inside the commands, so that `fleetowl --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from fleetowl import alerting
from fleetowl.feedback import feedback
from fleetowl.options import CONFIG, OUTPUT, TOKEN, URL, show
from fleetowl.version import VERSION

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
def runbooks() -> None:
    """See what was done automatically, and undo it."""


@runbooks.command("list")
@URL
@OUTPUT
def runbooks_list(url: str, output: str) -> None:
    """List the runbooks and their modes."""
    show(url, "/api/v1/runbooks", "runbooks", output)


@runbooks.command("audit")
@URL
@OUTPUT
def runbooks_audit(url: str, output: str) -> None:
    """List every decision and action of the runbooks, and check that none was altered."""
    show(url, "/api/v1/runbooks/audit", "audit", output)


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


for command in (alerting.alerts, alerting.incidents, alerting.oncall, alerting.silence, feedback):
    main.add_command(command)
