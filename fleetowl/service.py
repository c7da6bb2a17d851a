"""Runs the long-lived commands: configuration, signals, graceful stop, exit status."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fleetowl.document import load_agent
from fleetowl.version import VERSION
from model.settings import ConfigurationError, Problem

if TYPE_CHECKING:
    from agent.gpu.hold import Hold
    from agent.settings import AgentSettings
    from analyzer.central import CentralSettings
    from analyzer.service import Analyzer

log = logging.getLogger("fleetowl")

RESTART_SECONDS = 5
"""Pause before an agent that failed beside the analyzer is started again."""


def run_agent(path: Path | None) -> int:
    """`fleetowl agent`: SIGHUP restarts it with the configuration as it is then."""
    return asyncio.run(_run_agent(path))


def run_analyzer(path: Path | None) -> int:
    """`fleetowl analyzer`."""
    return _central(path, with_agent=False)


def run_up(path: Path | None) -> int:
    """`fleetowl up`: the analyzer, and an agent that pushes to it."""
    return _central(path, with_agent=True)


def _central(path: Path | None, *, with_agent: bool) -> int:
    """Before it is ready nothing has begun that must be ended, and what compiles hears of no end."""
    if not asyncio.run(_run_central(path, with_agent=with_agent)):
        log.info("ended before the detectors were ready")
        logging.shutdown()
        os._exit(0)
    return 0


def on_signals(stop: Callable[[], None], reload: Callable[[], None], hold: Hold | None = None) -> None:
    """SIGTERM and SIGINT stop, SIGHUP reloads; SIGUSR1 lets go of the GPUs' driver, SIGUSR2 takes it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, reload)
    if hold is not None:
        loop.add_signal_handler(signal.SIGUSR1, hold.release)
        loop.add_signal_handler(signal.SIGUSR2, hold.resume)


async def _run_agent(path: Path | None) -> int:
    from agent.gpu.hold import Hold
    from agent.malloc import use_one_arena

    use_one_arena()
    settings, over, again, hold = load_agent(path), asyncio.Event(), asyncio.Event(), Hold()
    on_signals(over.set, again.set, hold)
    while True:
        stop = asyncio.Event()
        running = asyncio.create_task(_agent(settings, stop, hold))
        taken = await _changed(path, running, over, again)
        stop.set()
        await running
        if taken is None:
            return 0
        settings = taken


async def _changed(
    path: Path | None, running: asyncio.Task[None], over: asyncio.Event, again: asyncio.Event
) -> AgentSettings | None:
    """The settings to go on with after a SIGHUP; None when the agent is to end, or has.

    A file that is wrong is said, and the agent runs on as it is.
    """
    while True:
        again.clear()
        signals = [asyncio.create_task(over.wait()), asyncio.create_task(again.wait())]
        await asyncio.wait([running, *signals], return_when=asyncio.FIRST_COMPLETED)
        for waiting in signals:
            waiting.cancel()
        if over.is_set() or not again.is_set():
            return None
        try:
            return load_agent(path)
        except ConfigurationError as error:
            log.error("the configuration was not taken over:\n%s", error)


async def _run_central(path: Path | None, *, with_agent: bool) -> bool:
    """False if it was ended before it was ready: then a thread still compiles."""
    from agent.gpu.hold import Hold
    from analyzer import collector
    from analyzer.assembly import make_ready
    from analyzer.service import Analyzer
    from analyzer.waiting import beside
    from fleetowl.configuration import load

    configuration = load(path)
    over = asyncio.Event()
    hold = Hold() if with_agent else None
    on_signals(over.set, lambda: log.warning("nothing is reloaded before the analyzer is ready"), hold)
    if not await beside(partial(make_ready, configuration), configuration.analyzer, over):
        return False
    analyzer = Analyzer(configuration, lambda: load(path), VERSION)
    collector.calm()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = asyncio.create_task(_reload(analyzer))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    on_signals(over.set, reload, hold)
    await analyzer.start()
    try:
        if hold is not None:
            await _with_agent(analyzer, over, hold)
        else:
            await over.wait()
    finally:
        await analyzer.stop()
    return True


async def _with_agent(analyzer: Analyzer, over: asyncio.Event, hold: Hold) -> None:
    """Run the agent beside the analyzer until `over`, anew when a reload changed it or when it failed."""
    while not over.is_set():
        settings = local_agent(analyzer.settings, analyzer.address)
        stop = asyncio.Event()
        running = asyncio.create_task(_agent(settings, stop, hold))
        changed = asyncio.create_task(_agent_changed(analyzer, settings))
        waiting = asyncio.create_task(over.wait())
        await asyncio.wait([running, changed, waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in (changed, waiting):
            task.cancel()
        stop.set()
        try:
            await running
        except ConfigurationError:
            raise
        except Exception:  # the supervisor's boundary: a broken agent must not take the analyzer down
            log.exception("the agent failed; starting it again in %d s", RESTART_SECONDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), RESTART_SECONDS)


async def _agent_changed(analyzer: Analyzer, running: AgentSettings) -> None:
    """Wait for a reload that gives the agent other settings."""
    while local_agent(analyzer.settings, analyzer.address) == running:
        await analyzer.taken_over()


async def _agent(settings: AgentSettings, stop: asyncio.Event, hold: Hold) -> None:
    """Run an agent. Raises ConfigurationError if it cannot listen where it should."""
    from agent.main import run

    try:
        await run(settings, stop, hold)
    except OSError as error:
        if error.errno not in (errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES):
            raise
        hint = "choose another address, or port 0 for a free one"
        message = f"cannot listen on {settings.listen}: {error.strerror}"
        raise ConfigurationError([Problem("configuration", "agent.listen", message, hint)]) from error


def local_agent(settings: CentralSettings, address: str) -> AgentSettings:
    """The agent's settings for one process: it pushes to the analyzer beside it, and spools in its state."""
    from fleetowl.configuration import Configuration

    assert isinstance(settings, Configuration)  # what `load` gives
    agent, central = settings.agent, settings.analyzer
    push = agent.push
    if not push.url:
        push = push.model_copy(
            update={"url": [f"http://{address}"], "token": central.token, "token_file": central.token_file}
        )
    if "directory" not in push.spool.model_fields_set:
        spool = push.spool.model_copy(update={"directory": central.state_directory / "spool"})
        push = push.model_copy(update={"spool": spool})
    gpu = agent.gpu
    if "last_seen" not in gpu.model_fields_set:
        gpu = gpu.model_copy(update={"last_seen": central.state_directory / "gpus.json"})
    return agent.model_copy(update={"push": push, "gpu": gpu})


async def _reload(analyzer: Analyzer) -> None:
    with contextlib.suppress(ConfigurationError):  # the analyzer has logged it and keeps the old one
        await analyzer.reload()
