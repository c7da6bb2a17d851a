"""Reads the kernel's log: its message device, or a file that something else writes it to.

What is there when it is first opened is history; what comes after is new. Where it may not be read, or is not
there, that is said once and tried again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from agent.xid.follow import FollowedFile
from agent.xid.kmsg import MessageDevice
from agent.xid.settings import KernelLogSettings
from model.labels import Labels
from model.metric import Metric, Sample

log = logging.getLogger("fleetowl.agent")

METRICS = (
    Metric("fleetowl_kernel_log_up", "gauge", "1 while the kernel's log is read.", ("node",)),
    Metric(
        "fleetowl_kernel_log_status",
        "gauge",
        "1 for the state of reading the kernel's log: reading, off, denied, absent, failing.",
        ("node", "state", "reason"),
    ),
    Metric("fleetowl_kernel_log_records_total", "counter", "Records read from the kernel's log.", ("node",)),
    Metric(
        "fleetowl_kernel_log_lost_total",
        "counter",
        "Records that were overwritten before they were read, cut off, skipped because too many "
        "waited, or on which the agent failed.",
        ("node",),
    ),
)

RETRY = 30.0
"""Seconds between attempts to open a log that cannot be read."""
POLL = 0.25
"""Seconds between looks at a file, which cannot be waited for; a fault is told within a second."""
CATCH_UP = 0.05
"""Seconds that the rest of the agent has to itself between turns at a file of which more is there at once."""

State = Literal["reading", "off", "denied", "absent", "failing"]


class Take(Protocol):
    """Gets each record."""

    def __call__(self, text: str, uptime: float | None, new: bool) -> None:
        """`uptime` is the kernel's own time of it in seconds, where that is known."""


class Reader(Protocol):
    """One opened log."""

    lost: int
    """Records that could not be read, since it was opened."""

    more: bool
    """Of what must be polled: whether the last turn ended before what there is did."""

    @property
    def waited_for(self) -> int | None:
        """A file descriptor that becomes readable with the next record; None if it must be polled."""

    def records(self) -> Iterator[tuple[str, float | None, bool]]:
        """What has come: text, the kernel's time, whether it is new. Raises OSError if it cannot be read."""

    def close(self) -> None:
        """Let go of it."""


class KernelLog:
    """Keeps the log open and hands its records on. `start` needs a running event loop."""

    def __init__(self, settings: KernelLogSettings, node: str, take: Take) -> None:
        self._settings, self._node, self._take = settings, node, take
        self._reader: Reader | None = None
        self._later: asyncio.TimerHandle | None = None
        self._last_sequence = -1
        self._missing = False
        self._records = self._lost = 0
        self._faults: set[type[Exception]] = set()
        self.state: State = "off"
        self.reason = "agent.kernel_log.enabled is false"

    @property
    def up(self) -> bool:
        """Whether it is read."""
        return self.state == "reading"

    def start(self) -> None:
        """Open it, or begin to try."""
        if self._settings.enabled and self._reader is None and self._later is None:
            self._open()

    def close(self) -> None:
        """Let go of it for good."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._shut()

    def samples(self) -> Iterator[Sample]:
        """How reading goes."""
        node = {"node": self._node}
        status = Labels({**node, "state": self.state, "reason": self._where()})
        lost = self._lost + (self._reader.lost if self._reader is not None else 0)
        yield Sample("fleetowl_kernel_log_up", Labels(node), float(self.up))
        yield Sample("fleetowl_kernel_log_status", status, 1.0)
        yield Sample("fleetowl_kernel_log_records_total", Labels(node), float(self._records))
        yield Sample("fleetowl_kernel_log_lost_total", Labels(node), float(lost))

    def _open(self) -> None:
        self._later = None
        try:
            self._reader = reader = self._reader_of()
            descriptor = reader.waited_for
            if descriptor is not None:
                asyncio.get_running_loop().add_reader(descriptor, self._read)
        except OSError as error:
            self._failed(error)
            return
        self._missing = False
        self._become("reading", "")
        self._read()

    def _reader_of(self) -> Reader:
        path = str(self._settings.path)
        if stat.S_ISCHR(os.stat(path).st_mode):
            return MessageDevice(path, self._last_sequence)
        return FollowedFile(path, from_start=self._missing)

    def _read(self) -> None:
        reader = self._reader
        if reader is None:
            return
        try:
            for text, uptime, new in reader.records():
                self._records += 1
                self._hand_on(text, uptime, new)
        except OSError as error:
            self._shut()
            self._failed(error)
            return
        if isinstance(reader, MessageDevice):
            self._last_sequence = reader.sequence
        if reader.waited_for is None:
            self._again(CATCH_UP if reader.more else POLL, self._read)

    def _hand_on(self, text: str, uptime: float | None, new: bool) -> None:
        try:
            self._take(text, uptime, new)
        # The supervisor boundary: a record that we cannot handle must not end the reading of the others.
        except Exception as error:
            self._lost += 1
            if type(error) not in self._faults:
                self._faults.add(type(error))
                log.exception("a record of the kernel's log could not be handled: %.200r", text)

    def _again(self, delay: float, what: Callable[[], None]) -> None:
        if self._later is not None:
            self._later.cancel()
        self._later = asyncio.get_running_loop().call_later(delay, self._run, what)

    def _run(self, what: Callable[[], None]) -> None:
        self._later = None
        what()

    def _shut(self) -> None:
        reader, self._reader = self._reader, None
        if reader is None:
            return
        if reader.waited_for is not None:
            asyncio.get_running_loop().remove_reader(reader.waited_for)
        self._lost += reader.lost
        reader.close()

    def _where(self) -> str:
        """The reason with the file that it is about; switched off, there is none."""
        named = self.state not in ("reading", "off")
        return f"{self._settings.path}: {self.reason}" if named else self.reason

    def _failed(self, error: OSError) -> None:
        reason = error.strerror or str(error)
        if isinstance(error, PermissionError):
            self._become("denied", f"{reason}; it needs the capability SYSLOG and to be readable")
        elif isinstance(error, FileNotFoundError):
            self._missing = True
            self._become("absent", reason)
        else:
            self._become("failing", reason)
        self._again(RETRY, self._open)

    def _become(self, state: State, reason: str) -> None:
        if (state, reason) == (self.state, self.reason):
            return
        was, self.state, self.reason = self.state, state, reason
        if state != "reading":
            log.warning(
                "no XIDs from the kernel's log: agent.kernel_log.path %s: %s; tried again every %g s",
                self._settings.path,
                reason,
                RETRY,
            )
        elif was != "off":
            log.info("the kernel's log %s is read again", self._settings.path)
