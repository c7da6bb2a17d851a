"""`fleetowl top` in a terminal: it draws, it quits, and the screen is as it was."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from tests.agent.whole import page_server

ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
PAGE = b'DCGM_FI_DEV_GPU_UTIL{gpu="0",UUID="GPU-0",modelName="NVIDIA L4",Hostname="gpu-7"} 42\n'


@pytest.fixture
def url() -> Iterator[str]:
    with page_server(PAGE) as url:
        yield url


class Session:
    """The command in a terminal of its own, 80 by 24."""

    def __init__(self, url: str) -> None:
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (24, 80))
        self.before = termios.tcgetattr(self.theirs)
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fleetowl", "top", "--agent", url, "--interval", "200ms"],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "", "LINES": ""},
        )

    def read_until(self, wanted: bytes, seconds: float = 20.0) -> None:
        until = time.monotonic() + seconds
        while wanted not in self.seen:
            assert time.monotonic() < until, self.seen
            if select.select([self.ours], [], [], 0.1)[0]:
                self.seen += os.read(self.ours, 65536)

    def end(self) -> int:
        self.read_until(LEAVE)
        return self.process.wait(10)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def session(url: str) -> Iterator[Session]:
    session = Session(url)
    yield session
    session.close()


def _q(session: Session) -> None:
    os.write(session.ours, b"q")


def _ctrl_c(session: Session) -> None:
    session.process.send_signal(signal.SIGINT)


def _term(session: Session) -> None:
    session.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize("leave", [_q, _ctrl_c, _term])
def test_the_screen_comes_back(session: Session, leave: Callable[[Session], None]) -> None:
    session.read_until(b"42 %")
    assert session.seen.index(ENTER) < session.seen.index(b"42 %")
    assert termios.tcgetattr(session.theirs) != session.before, "single keys"
    leave(session)
    assert session.end() == 0
    assert b"\x1b[?25h" in session.seen, "the cursor is shown again"
    assert termios.tcgetattr(session.theirs) == session.before


def test_keys_and_a_new_size_are_drawn_at_once(session: Session) -> None:
    session.read_until(b"worst first")
    os.write(session.ours, b"s")
    session.read_until(b"busiest")
    session.seen = b""
    termios.tcsetwinsize(session.theirs, (24, 30))
    session.process.send_signal(signal.SIGWINCH)
    session.read_until("…".encode())
    os.write(session.ours, b"q")
    assert session.end() == 0


def test_a_crash_gives_the_screen_back(url: str) -> None:
    """Whatever is raised: the terminal must not stay in the state of single keys."""
    code = (
        "from fleetowl.top.screen import Terminal\n"
        "with Terminal() as terminal:\n"
        "    terminal.draw('hello')\n"
        "    raise RuntimeError('broken')\n"
    )
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    done = subprocess.run(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, check=False
    )
    assert b"broken" in done.stderr
    assert LEAVE in os.read(ours, 65536)
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
