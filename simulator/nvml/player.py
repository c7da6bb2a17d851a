"""Plays a scenario on a stub driver: in virtual time, step by step, or in real time beside a command."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

from simulator.nvml.actions import Event, perform
from simulator.nvml.gpu import StubGpu
from simulator.nvml.kernel_log import KernelLog, xid_line
from simulator.nvml.scenario import Scenario
from simulator.nvml.stub import Stub
from simulator.nvml.table import GAUGES, LOST

NOISE_S = 1.0
"""Seconds between two draws of the noise."""


class Player:
    """A scenario under way. A stub whose time is stepped is stepped along."""

    def __init__(
        self,
        scenario: Scenario,
        stub: Stub,
        kernel_log: KernelLog | None = None,
        tell: Callable[[float, Event], None] = lambda at, event: None,
    ) -> None:
        self._scenario, self._stub, self._kernel_log, self._tell = scenario, stub, kernel_log, tell
        self._random = random.Random(scenario.gpus.seed)
        self._timeline = scenario.timeline()
        self._done = 0
        self._now = 0.0
        self._next_noise = 0.0
        self._base = [_numbers(getattr(gpu.profile, scenario.gpus.load)) for gpu in stub.gpus]

    @property
    def next_at(self) -> float | None:
        """Seconds from the beginning at which something happens next; None when the story is told."""
        due = [self._timeline[self._done][0]] if self._done < len(self._timeline) else []
        if self._scenario.noise:
            due.append(self._next_noise)
        return min(due, default=None)

    def advance(self, to: float) -> list[Event]:
        """Let everything happen that is due until `to` (seconds from the beginning); gives the events."""
        happened = []
        while (due := self.next_at) is not None and due <= to:
            self._pass_time(due)
            if self._scenario.noise and self._next_noise <= due:
                self._draw()
                self._next_noise = due + NOISE_S
            while self._done < len(self._timeline) and self._timeline[self._done][0] <= due:
                happened.append(self._timeline[self._done][1])
                self._done += 1
                self._happen(happened[-1])
        self._pass_time(to)
        return happened

    def play(self, stop: threading.Event) -> None:
        """In real time from where it stands, until the story is told or it is told to stop."""
        start = time.monotonic() - self._now
        while (due := self.next_at) is not None:
            if stop.wait(max(0.0, start + due - time.monotonic())):
                return
            self.advance(time.monotonic() - start)

    def _pass_time(self, to: float) -> None:
        if self._stub.table.record.stepped and to > self._now:
            self._stub.step(to - self._now)
        self._now = max(to, self._now)

    def _happen(self, event: Event) -> None:
        perform(event, self._stub)
        self._tell(self._now, event)
        for slot in event.targets(len(self._stub.gpus)):
            if event.load is not None:
                self._base[slot] = _numbers(getattr(self._stub.gpus[slot].profile, event.load))
            self._base[slot] |= _numbers(event.set or {})
            self._log(event, self._stub.gpus[slot])

    def _log(self, event: Event, gpu: StubGpu) -> None:
        xid = event.xid_told
        if self._kernel_log is None or xid is None or xid.only == "nvml":
            return
        pid, name = gpu.first_process or (None, "")
        line = xid_line(gpu.pci_bus_id, xid.code, xid.text, pid, name)
        self._kernel_log.write(self._stub.table.now() / 1e9, line)

    def _draw(self) -> None:
        """Values a little off what was set, within what a share can be."""
        for gpu, base in zip(self._stub.gpus, self._base, strict=True):
            if gpu.state != LOST:
                gpu.set(
                    **{
                        name: _near(name, base[name], amount, self._random)
                        for name, amount in self._scenario.noise.items()
                        if name in base
                    }
                )


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if type(value) in (int, float)}


_FRACTIONS = frozenset({"power", "power_average"})
"""Gauges whose natural unit has fractions."""


def _near(name: str, base: float, amount: float, source: random.Random) -> float:
    if base == 0:
        return int(base) if name in GAUGES else base  # what rests does not tremble
    value = max(0.0, base + source.uniform(-amount, amount))
    if name.endswith(("utilization", "_activity")):
        value = min(value, 100.0)
    return round(value) if name in GAUGES and name not in _FRACTIONS else value
