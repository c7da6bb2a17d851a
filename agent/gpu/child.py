"""One life of the probe: a process that is fed lines on stdin and answers lines on stdout."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

import agent

log = logging.getLogger("fleetowl.agent")

_LONGEST_LINE = 16 << 20  # bytes; a sweep of eight GPUs with seven MIG instances each has a hundredth of it
_LONGEST_REASON = 300  # characters; it becomes the value of a label
_LOOK_SECONDS = 0.02
_LONGEST_LOOK_SECONDS = 1.0

lingering: list[subprocess.Popen[bytes]] = []
"""Probes that were told to end and have not: a thread of theirs is in a driver call that does not return.

They are kept so that they are reaped when they end, and so that nobody starts another one beside them, be
it after a reload. They are not killed: to kill what is inside the driver has frozen GPUs.
"""


def still_lingering() -> list[int]:
    """The process ids of those that are still there."""
    lingering[:] = [process for process in lingering if process.poll() is None]
    return [process.pid for process in lingering]


class Lines(asyncio.Protocol):
    """Cuts what a pipe gives into lines."""

    def __init__(self, line: Callable[[bytes], None]) -> None:
        self._line = line
        self._rest = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        """Hands on each line that is complete, and the beginning of one that does not end."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > _LONGEST_LINE:
            begun, self._rest = self._rest[:_LONGEST_REASON], b""
            self._line(begun)

    def connection_lost(self, error: Exception | None) -> None:
        """The other end is gone."""
        if not self.ended.done():
            self.ended.set_result(None)


class Child:
    """A running probe. `start` makes one; `ended` returns when it is gone."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._output: Lines
        self._transports: list[asyncio.BaseTransport] = []
        self._told_to_end = False
        self.last_words = ""
        """The last line of its stderr."""

    @classmethod
    async def start(
        cls, command: Sequence[str], environment: Mapping[str, str], line: Callable[[bytes], None]
    ) -> Child:
        """Raises OSError if the program cannot be started."""
        # It returns as soon as the program runs; the command is ours.
        process = subprocess.Popen(  # noqa: ASYNC220, S603
            command,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # Ctrl-C in a terminal goes to a whole session; the probe is to end when the agent says so.
            start_new_session=True,
        )
        child = cls(process)
        try:
            os.set_blocking(child._stdin, False)
            child._output = await child._listen(process.stdout, line)
            await child._listen(process.stderr, child._complaint)
        except BaseException:
            child.leave()
            raise
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def told_to_end(self) -> bool:
        """Whether it was asked to."""
        return self._told_to_end

    def send(self, line: bytes) -> bool:
        """Whether it took the line; not if it is ending, or has not read for long."""
        try:
            return os.write(self._stdin, line) == len(line)
        except (OSError, ValueError):  # ValueError: it is gone, and its pipe is closed
            return False

    def terminate(self) -> None:
        """SIGTERM: end as soon as the driver allows. Never SIGKILL: see `lingering`."""
        self._told_to_end = True
        self._process.terminate()

    async def ended(self) -> int:
        """Until it is gone; its exit status, minus the signal's number if one ended it."""
        await asyncio.shield(self._output.ended)
        pause = _LOOK_SECONDS
        while self._process.poll() is None:  # a pipe closes a moment before the process can be reaped
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_LOOK_SECONDS)
        self._close_pipes()
        return self._process.returncode

    def leave(self) -> None:
        """Do not wait for it any longer: its stdin closes, which it takes as the end of the agent."""
        self._close_pipes()
        if self._process.poll() is None:
            lingering.append(self._process)

    @property
    def _stdin(self) -> int:
        return cast(IO[bytes], self._process.stdin).fileno()

    async def _listen(self, pipe: IO[bytes] | None, line: Callable[[bytes], None]) -> Lines:
        transport, protocol = await asyncio.get_running_loop().connect_read_pipe(lambda: Lines(line), pipe)
        self._transports.append(transport)
        return protocol

    def _complaint(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if text:
            log.warning("the GPU probe says: %s", text)
            self.last_words = text[:_LONGEST_REASON]

    def _close_pipes(self) -> None:
        for transport in self._transports:
            transport.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            with contextlib.suppress(OSError):
                cast(IO[bytes], pipe).close()


def words_of(status: int, last_words: str) -> str:
    """An exit status for people.

    >>> words_of(1, "ImportError: pynvml"), words_of(-11, "")
    ('exit status 1: ImportError: pynvml', 'killed by SIGSEGV')
    """
    if status < 0:
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(-status).name}"
        return f"killed by signal {-status}"
    return f"exit status {status}" + (f": {last_words}" if last_words else "")


def environment_for_python() -> dict[str, str]:
    """This process' environment, in which `python -P -m agent...` finds the agent wherever it is installed.

    `-P` keeps the working directory, which may be anybody's, off the path of imports.
    """
    environment = dict(os.environ)
    root = str(Path(agent.__file__).parent.parent)
    if root not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    return environment


def python_module(name: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours with this interpreter."""
    return [sys.executable, "-P", "-m", name, *arguments]
