"""The loop of `fleetowl top`: one thread fetches, the other draws and listens to the keyboard."""

from __future__ import annotations

import queue
import sys
import threading
import time
from collections.abc import Callable

import click

from agent.snapshot.shape import Snapshot
from fleetowl.figures import since
from fleetowl.terminal import terminal_width, wants_colour
from fleetowl.top.fetch import Fetched, Origin, Unreachable, agent_origin, analyzer_origin
from fleetowl.top.frame import Choice, Screen, draw, frame
from fleetowl.top.history import History
from fleetowl.top.screen import Terminal

_PAGE = 10
_LONGEST_WAIT = 60.0
_MANY_LINES = 1_000_000
_QUIT = ("q", "Q", "\x03", "\x04")


def run_top(url: str | None, agent: str, interval: float, once: bool) -> int:
    """The exit status: 1 if nobody answers, 2 if this is no terminal. `interval` is in seconds."""
    origin = analyzer_origin(url) if url else agent_origin(agent)
    try:
        if once:
            click.echo(_once(origin, interval))
            return 0
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            click.echo("error: this is no terminal; --once prints one picture", err=True)
            return 2
        first = origin.fetch()
    except Unreachable as nobody:
        click.echo(f"error: {nobody}", err=True)
        return 1
    watched = Watched(origin, first, interval)
    with Terminal() as terminal:
        watched.start(terminal.wake)
        _show(terminal, watched)
    return 0


class Watched:
    """Fetches in a thread of its own, so that a slow answer does not hold up a key."""

    def __init__(self, origin: Origin, first: Fetched, interval: float) -> None:
        self.origin = origin
        self.history = History()
        self.seen = self.history.add(first)
        self.problem = ""
        self._interval = interval
        self._answers: queue.SimpleQueue[Fetched | Unreachable] = queue.SimpleQueue()

    def start(self, changed: Callable[[], None]) -> None:
        """Fetch on and on; `changed` is called after each."""
        threading.Thread(target=self._run, args=(changed,), daemon=True).start()

    def take(self) -> None:
        """Take over what was fetched since."""
        while not self._answers.empty():
            answer = self._answers.get()
            if isinstance(answer, Unreachable):
                age = since(max(0.0, time.time() - self.seen.at_seconds))
                self.problem = f"the figures are {age} old: {answer}"
            else:
                self.seen, self.problem = self.history.add(answer), ""

    def _run(self, changed: Callable[[], None]) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self._interval, time.monotonic())
            time.sleep(due - time.monotonic())
            try:
                self._answers.put(self.origin.fetch())
            except Unreachable as nobody:
                self._answers.put(nobody)
            try:
                changed()
            except OSError:
                return  # the terminal was given back


def _once(origin: Origin, interval: float) -> str:
    """Two fetches, for the rates; as much as there is to say."""
    history = History()
    history.add(origin.fetch())
    time.sleep(interval)
    seen = history.add(origin.fetch())
    screen = Screen(terminal_width() or _MANY_LINES, _MANY_LINES, wants_colour())
    picture = frame(seen, history, Choice(), origin.url, "", screen)
    return picture.rpartition("\n")[0]  # without the keys


def _show(terminal: Terminal, watched: Watched) -> None:
    choice, colour = Choice(), wants_colour()
    while not terminal.over:
        watched.take()
        screen = Screen(*terminal.size, colour)
        picture = draw(watched.seen, watched.history, choice, watched.origin.url, watched.problem, screen)
        terminal.draw(picture.text)
        key = terminal.key(_LONGEST_WAIT)
        if key in _QUIT:
            return
        choice = chosen(key, choice, watched.seen, picture.below)


def chosen(key: str, choice: Choice, seen: Snapshot, below: int) -> Choice:
    """What a key changes; `below` is how many lines there are further down."""
    moves = {"up": -1, "down": 1, "page up": -_PAGE, "page down": _PAGE}
    if key in moves:
        return choice.moved(min(moves[key], below))
    if key == "s":
        return choice.next_order()
    if key == "n":
        return choice.next_node(seen)
    return choice
