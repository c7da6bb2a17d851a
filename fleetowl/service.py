"""Runs the long-lived commands: configuration, signals, graceful stop, exit status."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fleetowl.document import load_agent
from fleetowl.version import VERSION
from model.settings import ConfigurationError

if TYPE_CHECKING:
    from agent.settings import AgentSettings
    from analyzer.service import Analyzer
    from fleetowl.configuration import Configuration

log = logging.getLogger("fleetowl")

RESTART_SECONDS = 5
"""Pause before an agent that failed beside the analyzer is started again."""


def run_agent(path: Path | None) -> int:
    """`fleetowl agent`: SIGHUP restarts it with the configuration as it is then."""
    return asyncio.run(_run_agent(path))


def run_analyzer(path: Path | None) -> int:
    """`fleetowl analyzer`."""
    return asyncio.run(_run_central(path, with_agent=False))


def run_up(path: Path | None) -> int:
    """`fleetowl up`: the analyzer, and an agent that pushes to it."""
    return asyncio.run(_run_central(path, with_agent=True))


def on_signals(stop: Callable[[], None], reload: Callable[[], None]) -> None:
    """SIGTERM and SIGINT stop, SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)


async def _run_agent(path: Path | None) -> int:
    from agent.main import run

    settings, over, again = load_agent(path), asyncio.Event(), asyncio.Event()
    on_signals(over.set, again.set)
    while not over.is_set():
        again.clear()
        stop = asyncio.Event()
        running = asyncio.create_task(run(settings, stop))
        signals = [asyncio.create_task(over.wait()), asyncio.create_task(again.wait())]
        await asyncio.wait([running, *signals], return_when=asyncio.FIRST_COMPLETED)
        for waiting in signals:
            waiting.cancel()
        stop.set()
        await running
        if again.is_set():
            settings = _reloaded(path, settings)
        else:
            break
    return 0


def _reloaded(path: Path | None, old: AgentSettings) -> AgentSettings:
    try:
        return load_agent(path)
    except ConfigurationError as error:
        log.error("the configuration was not taken over:\n%s", error)
        return old


async def _run_central(path: Path | None, *, with_agent: bool) -> int:
    from analyzer.service import Analyzer
    from fleetowl.configuration import load

    configuration = load(path)
    analyzer = Analyzer(configuration, lambda: load(path), VERSION)
    over = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(_reload(analyzer))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    on_signals(over.set, reload)
    await analyzer.start()
    if with_agent:
        await _with_agent(configuration, analyzer, over)
    else:
        await over.wait()
    await analyzer.stop()
    return 0


async def _with_agent(configuration: Configuration, analyzer: Analyzer, over: asyncio.Event) -> None:
    """Run the agent beside the analyzer until `over`; an agent that fails is started again."""
    from agent.main import run

    settings = local_agent(configuration, analyzer.address)
    stop = asyncio.Event()
    while not over.is_set():
        running = asyncio.create_task(run(settings, stop))
        waiting = asyncio.create_task(over.wait())
        await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        stop.set()
        try:
            await running
        except ConfigurationError:
            raise
        except Exception:  # the supervisor's boundary: a broken agent must not take the analyzer down
            log.exception("the agent failed; starting it again in %d s", RESTART_SECONDS)
            stop.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), RESTART_SECONDS)


def local_agent(configuration: Configuration, address: str) -> AgentSettings:
    """The agent's settings for one process: it pushes to the analyzer beside it, and spools in its state."""
    agent, central = configuration.agent, configuration.analyzer
    push = agent.push
    if not push.url:
        push = push.model_copy(
            update={"url": [f"http://{address}"], "token": central.token, "token_file": central.token_file}
        )
    if "directory" not in push.spool.model_fields_set:
        spool = push.spool.model_copy(update={"directory": central.state_directory / "spool"})
        push = push.model_copy(update={"spool": spool})
    return agent.model_copy(update={"push": push})


async def _reload(analyzer: Analyzer) -> None:
    with contextlib.suppress(ConfigurationError):  # the analyzer has logged it and keeps the old one
        await analyzer.reload()
