"""`fleetowl agent --once`: what the agent sees on this node, then exit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from agent.once import look
from fleetowl import tables
from fleetowl.agent_report import as_data, report
from fleetowl.document import load_agent
from fleetowl.terminal import terminal_width, wants_colour


def run_once(config: Path | None, output: str, say: Callable[[str], object]) -> int:
    """The exit status: 0, or 1 if something that should work does not."""
    settings = load_agent(config)
    # What goes wrong stands on the page; the same in the log would come before it.
    logging.getLogger("fleetowl.agent").setLevel(logging.CRITICAL)
    with _patience():
        seen = asyncio.run(look(settings))
    if output == "table":
        say(report(seen, terminal_width(), wants_colour()).rstrip("\n"))
    else:
        say(tables.FORMS[output](as_data(seen)))
    return 1 if seen.broken else 0


@contextlib.contextmanager
def _patience() -> Iterator[None]:
    """On a terminal, a line that says why nothing happens; it goes when something does."""
    shown = sys.stderr.isatty()
    if shown:
        print("reading this node twice, and waiting for its driver ...", end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        if shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
