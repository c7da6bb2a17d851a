"""A process that has the stub driver and the unmodified nvidia-ml-py, and does what it is told."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from simulator.nvml.stub import Stub

_PREAMBLE = """
import json, sys, time
import pynvml as n

def code_of(call, *arguments):
    try:
        call(*arguments)
    except n.NVMLError as error:
        return error.value
    return 0

def say(value):
    print(json.dumps(value), flush=True)

def wait():
    sys.stdin.readline()
"""


class Asker:
    """Python source that runs beside the test: `say(value)` answers it, `wait()` waits for `go`."""

    def __init__(self, stub: Stub, source: str, extra: dict[str, str] | None = None) -> None:
        environment = {**os.environ, **stub.environment(), **(extra or {})}
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PREAMBLE + textwrap.dedent(source)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def heard(self) -> Any:
        """The next thing it says."""
        import json

        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the process ended with {self.process.wait()} and said nothing more"
        return json.loads(line)

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def ask() -> Iterator[Callable[..., Asker]]:
    """Starts an Asker; ends it with the test."""
    started: list[Asker] = []

    def start(stub: Stub, source: str, **extra: str) -> Asker:
        started.append(Asker(stub, source, extra))
        return started[-1]

    yield start
    for asker in started:
        asker.stop()
