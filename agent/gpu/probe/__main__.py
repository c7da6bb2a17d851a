"""python -m agent.gpu.probe: reads requests from stdin, answers on stdout; see `agent.gpu.protocol`."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import FrameType
from typing import BinaryIO

from agent.gpu.probe.sweep import Options, Probe
from agent.gpu.protocol import OUTDATED, RELEASED, USAGE, Message, Occurrence, decode_request, encode
from agent.malloc import use_one_arena

_STACK_BYTES = 512 * 1024


class _Release(BaseException):
    """A signal asks to let go of the driver."""


class Mouth:
    """Says messages on a descriptor, each whole, from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def call_out(self, occurrence: Occurrence) -> None:
        """As `say`, for whom it does not matter whether anybody listens."""
        with suppress(OSError):
            self.say(occurrence)

    def say(self, message: Message, patience: float = -1) -> None:
        """Raises OSError if nobody listens any more. Gives up if others talk for `patience` seconds."""
        line = memoryview(encode(message))
        if not self._lock.acquire(timeout=patience):
            return
        try:
            while line:
                line = line[os.write(self._descriptor, line) :]
        finally:
            self._lock.release()


def options(arguments: Sequence[str]) -> Options:
    """The probe's arguments. Raises ValueError for what it does not know."""
    chosen = Options()
    rest = iter(arguments)
    for argument in rest:
        if argument == "--no-processes":
            chosen = chosen._replace(processes=False)
        elif argument == "--hung-after":
            chosen = chosen._replace(hung_after=float(next(rest, "nothing")))
        elif argument == "--slow-interval":
            chosen = chosen._replace(slow_interval=float(next(rest, "nothing")))
        else:
            raise ValueError(f"no argument is called {argument!r}")
    return chosen


def answer(probe: Probe, requests: BinaryIO, mouth: Mouth) -> int:
    """Answer until the requests end or one is to leave; the exit status. Raises OSError if nobody listens."""
    for line in requests:
        try:
            request = decode_request(line)
        except ValueError as error:
            print(f"probe: no request: {error}", file=sys.stderr)
            continue
        if request["do"] == "release":
            break
        mouth.say(probe.sweep(request))
        if probe.outdated:
            return OUTDATED
    return RELEASED


def main(arguments: Sequence[str]) -> int:
    """Run the probe; its exit status."""
    try:
        chosen = options(arguments)
    except ValueError as error:
        print(f"probe: {error}", file=sys.stderr)
        return USAGE
    _save_memory()
    _leave_to_the_agent(signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    # What a library prints must not end up among the messages.
    mouth = Mouth(os.dup(1))
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the agent
    signal.signal(signal.SIGTERM, _released)
    probe = Probe(chosen, mouth.call_out)
    status = RELEASED
    with suppress(_Release, OSError):
        status = answer(probe, sys.stdin.buffer, mouth)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    reason = probe.release()
    with suppress(OSError):  # whoever listened may be gone
        mouth.say({"say": "released", "reason": reason}, patience=0.1)
    return status


def _released(_signal: int, _frame: FrameType | None) -> None:
    raise _Release


def _leave_to_the_agent(*numbers: signal.Signals) -> None:
    """What is meant for the agent reaches the probe too if it is sent to all of a service; it would kill."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


def _save_memory() -> None:
    """A thread a GPU: each would get a heap of its own from malloc, and a stack of megabytes."""
    threading.stack_size(_STACK_BYTES)
    use_one_arena()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)  # a thread that hangs in the driver must not keep the process
