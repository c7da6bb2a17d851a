"""The probe as the agent runs it: a process over the stub driver."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from agent.gpu.protocol import Occurrence, Sweep


class Child:
    """Starts it; `sweep` asks it. What it says between two sweeps is in `events`."""

    def __init__(self, environment: Mapping[str, str], *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent.gpu.probe", *arguments],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.events: list[Occurrence] = []
        self._number = 0

    def ask(self, **request: Any) -> None:
        self.write(json.dumps({"deadline": 0.0, "number": 0, **request}).encode() + b"\n")

    def write(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The next message."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the probe ended with {self.process.wait()}: {self.complaint()}"
        return cast(dict[str, Any], json.loads(line))

    def sweep(self, deadline: float = 2.0) -> Sweep:
        self._number += 1
        self.ask(do="sweep", number=self._number, deadline=deadline)
        while (message := self.hear())["say"] != "sweep":
            self.events.append(cast(Occurrence, message))
        assert message["number"] == self._number
        return cast(Sweep, message)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def farewell(self) -> tuple[str, int]:
        """The reason in its last message, and its exit status."""
        message = self.hear()
        while message["say"] == "event":
            message = self.hear()
        assert message["say"] == "released"
        return message["reason"], self.process.wait(10)

    def complaint(self) -> str:
        """What it wrote to stderr until it ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def threads(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/task").iterdir()))

    def memory(self) -> int:
        """Its proportional share of memory, bytes."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise LookupError("no Pss in smaps_rollup")

    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        cells = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(cells[11]) + int(cells[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
