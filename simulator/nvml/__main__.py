"""`python -m simulator.nvml SCENARIO -- COMMAND...`: a command sees GPUs that are not there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import click

from model.settings import ConfigurationError
from simulator.nvml.actions import Event
from simulator.nvml.build import BuildFailed, CompilerMissing
from simulator.nvml.kernel_log import KernelLog
from simulator.nvml.player import Player
from simulator.nvml.scenario import find_scenario, load_scenario, scenario_names
from simulator.nvml.stub import Stub

_SIGNALLED = 128
"""A command that a signal ended has this and the signal's number as its status, as a shell says it."""


class _WithScenarios(click.Command):
    """Reads the scenarios only when they are to be listed."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Below everything: which scenarios are shipped."""
        names = scenario_names()
        with formatter.section("Scenarios"):
            formatter.write_dl([(name, load_scenario(find_scenario(name)).description) for name in names])


@click.command(cls=_WithScenarios)
@click.argument("scenario")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--at",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Let so much of the scenario have happened before COMMAND starts.",
)
@click.option(
    "--kmsg",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append the kernel's lines of XIDs to this file, instead of the one that the scenario names.",
)
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep the compiled library in this folder, for the next time.",
)
@click.option("--quiet", "-q", is_flag=True, help="Do not say on stderr what happens.")
def main(
    scenario: str, command: tuple[str, ...], at: float, kmsg: Path | None, cache: Path | None, quiet: bool
) -> None:
    """Play SCENARIO in real time on a stub NVIDIA driver, and run COMMAND on it.

    SCENARIO is one of those below, or a YAML file. COMMAND is anything that asks NVML; it finds the stub by
    LD_LIBRARY_PATH, and its exit status is ours. Without one, the environment to set is printed and the
    scenario plays until it is interrupted.

    \b
    Example:
      python -m simulator.nvml --at 12 lost-gpu -- fleetowl agent --once
    """
    try:
        story = load_scenario(find_scenario(scenario))
        log = kmsg or story.kmsg
        with (
            tempfile.TemporaryDirectory(prefix="fleetowl-nvml-") as folder,
            story.stub(Path(folder), cache=cache) as stub,
        ):
            say = _say_nothing if quiet else _say
            status = _play(Player(story, stub, KernelLog(log) if log else None, say), stub, command, at)
        sys.exit(status)
    except ConfigurationError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
    except (CompilerMissing, BuildFailed) as error:
        click.echo(error, err=True)
    sys.exit(2)


def _say(at: float, event: Event) -> None:
    told = event.model_dump(exclude_unset=True, exclude={"at", "repeat"})
    click.echo(f"{at:8.1f} s  {', '.join(f'{name} {value}' for name, value in told.items())}", err=True)


def _say_nothing(at: float, event: Event) -> None:
    pass


def _play(player: Player, stub: Stub, command: tuple[str, ...], at: float) -> int:
    stop = threading.Event()
    player.advance(at)  # at 0 too: what is so from the beginning is so before the command looks
    thread = threading.Thread(target=player.play, args=(stop,), daemon=True)
    thread.start()
    try:
        return _run(command, stub.environment(), stop)
    finally:
        stop.set()
        thread.join()


def _run(command: tuple[str, ...], environment: dict[str, str], stop: threading.Event) -> int:
    """The status of the command, which gets the signals that we get; 127 if there is no such command."""
    if not command:
        for name, value in environment.items():
            click.echo(f"export {name}={value}")
        _until_interrupted(stop)
        return 0
    try:
        process = subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603 - the user's
    except OSError as error:
        click.echo(f"{command[0]}: cannot be run: {error.strerror}", err=True)
        return 127
    signal.signal(signal.SIGTERM, lambda number, frame: process.send_signal(number))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to the command, too
    status = process.wait()
    return status if status >= 0 else _SIGNALLED - status


def _until_interrupted(stop: threading.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.set())
    stop.wait()


if __name__ == "__main__":
    main()
