"""The terminal while `fleetowl top` has it: another screen, single keys, and always given back."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[2J"  # the alternate screen, no cursor, empty
_LEAVE = "\x1b[?25h\x1b[?1049l"
_HOME, _REST_OF_LINE, _REST_OF_SCREEN = "\x1b[H", "\x1b[K", "\x1b[J"

_KEYS = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "k": "up",
    "j": "down",
    "\x1b[5~": "page up",
    "\x1b[6~": "page down",
}


class Terminal:
    """Use as a context manager; SIGTERM and SIGHUP end it as `q` does, so that the screen comes back."""

    def __init__(self) -> None:
        self._in = sys.stdin.fileno()
        self._before: list[object] = []
        self._handlers: dict[int, object] = {}
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self.over = False
        """A signal asks to end."""

    def __enter__(self) -> Terminal:
        self._before = termios.tcgetattr(self._in)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            self._handlers[number] = signal.signal(number, self._end)
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, self._poke)
        self._handlers[signal.SIGCONT] = signal.signal(signal.SIGCONT, self._again)
        self._handlers[signal.SIGTSTP] = signal.signal(signal.SIGTSTP, self._stop)
        self._take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() gave
        os.close(self._wake_read)
        os.close(self._wake_write)

    def wake(self) -> None:
        """From any thread: `key` returns at once."""
        os.write(self._wake_write, b".")

    def draw(self, picture: str) -> None:
        """Line over line, without clearing first: that would flicker."""
        lines = (line + _REST_OF_LINE for line in picture.split("\n"))
        self._write(_HOME + "\r\n".join(lines) + _REST_OF_SCREEN)

    def key(self, timeout: float) -> str:
        """The next key, empty after `timeout` seconds or when something else happened."""
        ready, _, _ = select.select([self._in, self._wake_read], [], [], max(0.0, timeout))
        if self._wake_read in ready:
            os.read(self._wake_read, 1024)
        if self._in not in ready:
            return ""
        typed = os.read(self._in, 64)
        if not typed:  # the terminal is gone
            self.over = True
        text = typed.decode(errors="replace")
        return _KEYS.get(text, text)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        found = shutil.get_terminal_size()
        return found.columns, found.lines

    def _take(self) -> None:
        tty.setcbreak(self._in)
        self._write(_ENTER)

    def _give_back(self) -> None:
        # Either fails where the terminal is gone, and then there is nothing to give back.
        with contextlib.suppress(OSError, termios.error):
            self._write(_LEAVE)
        with contextlib.suppress(OSError, termios.error):
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)  # type: ignore[arg-type]

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _end(self, number: int, at: FrameType | None) -> None:
        self.over = True
        self._poke(number, at)

    def _poke(self, number: int, at: FrameType | None) -> None:
        with contextlib.suppress(BlockingIOError):  # it is awake
            self.wake()

    def _stop(self, number: int, at: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its screen back until we go on."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _again(self, number: int, at: FrameType | None) -> None:
        self._take()
        self._poke(number, at)
