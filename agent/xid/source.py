"""XIDs and SXids as a source: hears the driver's events and the kernel's log, tells at once, and exports."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from agent.event import Emit
from agent.gpu.protocol import Occurrence
from agent.reading import Naming, Reading
from agent.settings import AgentSettings
from agent.xid import book, kernel_log, ledger, switches
from agent.xid.book import Book, Entered
from agent.xid.catalogue import catalogue
from agent.xid.devices import Device, Devices
from agent.xid.kernel_log import KernelLog
from agent.xid.kernel_text import KernelText, SxidLine, XidLine
from agent.xid.ledger import Ledger
from agent.xid.log_time import uptime as uptime_of
from agent.xid.log_time import written
from agent.xid.switches import Error, Switches
from agent.xid.telling import Teller
from agent.xid.wall import WallClock
from model.labels import Labels
from model.metric import Metric

log = logging.getLogger("fleetowl.agent")

METRICS = (*book.METRICS, *ledger.METRICS, *switches.METRICS, *kernel_log.METRICS)
_TYPES = {metric.name: metric.type for metric in METRICS}


class XidSource:
    """`start` it in the event loop before its first reading; `from_driver` is for the GPUs' source.

    `last` and `recent` are the history that dcgm-exporter's families are made of.
    """

    def __init__(
        self,
        settings: AgentSettings,
        devices: Devices,
        emit: Emit,
        clock: Callable[[], float] = time.time,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        node = settings.node
        # `node` is a label of the series themselves, so that /metrics has it and a push has it once.
        target = {"job": settings.job, "instance": node}
        self.interval = settings.interval
        self.exported = True
        self._emit, self._clock = emit, clock
        self._naming = Naming(target)
        self._series: Sequence[Labels] = ()
        self._wall = WallClock(clock, timer)
        table = catalogue(settings.xid.preset, settings.xid.codes)
        self._book = Book(node, table, devices, self._wall)
        self._teller = Teller(node, target, table)
        self._switches = Switches(node, self._tell_sxid, self._wall, timer)
        self._text = KernelText()
        self.ledger = Ledger(node, self._book, devices, self._tell_xid, timer)
        self.kernel_log = KernelLog(settings.kernel_log, node, self._take)

    def start(self) -> None:
        """Begin to read the kernel's log; needs the running event loop."""
        self.kernel_log.start()

    def from_driver(self, occurrence: Occurrence, now: int) -> None:
        """An event of the driver, at `now` (ms). Others than XIDs are not for here."""
        patience = self.ledger.from_driver(occurrence, wait=self.kernel_log.up)
        if patience is not None:
            asyncio.get_running_loop().call_later(patience, self.ledger.settle)

    def last(self, uuid: str) -> int:
        """The code that a GPU had last, 0 if it had none."""
        return self.ledger.last(uuid)

    def recent(self, uuid: str, now: int) -> Mapping[int, int]:
        """How often each code came within five minutes."""
        return self.ledger.recent(uuid, now)

    def metrics(self) -> tuple[Metric, ...]:
        """The families that its readings may hold."""
        return METRICS

    async def read(self, at: int) -> Reading:
        """Every series as of `at` (ms)."""
        self._wall.look()
        self.ledger.settle()
        samples = [
            *self.ledger.samples(),
            *self._switches.samples(),
            *self.kernel_log.samples(),
        ]
        reading = self._naming.reading(samples, _TYPES, at)
        if reading.series is not self._series:
            self._series = reading.series
            self._teller.known = frozenset(reading.series)
        return reading

    async def close(self) -> None:
        """Let go of the kernel's log."""
        self.kernel_log.close()

    def _take(self, text: str, uptime: float | None, new: bool) -> None:
        for finding in self._text.findings(text):
            if new and isinstance(finding, SxidLine):
                self._switches.from_kernel(finding)
            elif new:
                self.ledger.from_kernel(finding)
            elif (at := self._moment(text, uptime)) is not None:
                if isinstance(finding, SxidLine):
                    self._switches.from_history(finding, at)
                else:
                    self.ledger.from_history(finding, at)

    def _moment(self, text: str, uptime: float | None) -> float | None:
        """When a line from before the agent was written; None if that was before the boot, or nobody knows.

        A log file outlives a boot; what the driver asked for until then, the boot has done.
        """
        date = written(text, datetime.fromtimestamp(self._clock()))
        if date is not None:
            moment = self._wall.moment(date)
            # Monotonic time begins with the boot; dates are in whole seconds.
            return moment if moment >= -1.0 else None
        return uptime if uptime is not None else uptime_of(text)

    def _tell_xid(self, device: Device, line: XidLine, entered: Entered, untold: int) -> None:
        self._emit(self._teller.xid(self._book, device, line, entered, untold, int(self._clock() * 1000)))

    def _tell_sxid(self, line: SxidLine, error: Error, count: int) -> None:
        series = (self._switches.counter(error, count), self._switches.time(error))
        self._emit(self._teller.sxid(line, error, series, int(self._clock() * 1000)))
