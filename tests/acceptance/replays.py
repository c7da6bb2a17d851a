"""Recorded engines that answer as they did, at their real times."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path


class Replay:
    """Serves a recorded series of expositions as the engine did: the newest capture at each moment.

    `relabel` rewrites a body, so that one recording can stand for another engine of an instance.
    Where the recording says that nothing answered, the port refuses connections.
    """

    def __init__(self, folder: Path, relabel: Callable[[str], str] = str) -> None:
        captures = sorted(folder.glob("*.prom"), key=lambda path: int(path.stem))
        self._moments = [int(path.stem) for path in captures]
        self._bodies = [relabel(path.read_text()) for path in captures]
        self.length = (self._moments[-1] - self._moments[0]) / 1000
        self._began = 0.0

    def begin(self) -> None:
        self._began = time.monotonic()

    def body(self) -> str:
        passed = (time.monotonic() - self._began) * 1000 if self._began else 0.0
        newest = max(i for i, moment in enumerate(self._moments) if moment - self._moments[0] <= passed)
        return self._bodies[newest]
