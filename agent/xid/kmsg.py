"""The kernel's message device: one record a read (Documentation/ABI/testing/dev-kmsg)."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

log = logging.getLogger("fleetowl.agent")

_LARGEST = 64 * 1024  # bytes of a record; the kernel's are at most 8 KiB
_AT_ONCE = 500  # records before the event loop has its turn
_ESCAPE = re.compile(r"\\x([0-9a-f]{2})")


class Record(NamedTuple):
    """One message. `sequence` is -1 and `uptime` None where the head of the record is not the kernel's."""

    text: str
    sequence: int
    uptime: float | None
    """Seconds since the system booted, on the clock of printk, which may drift from the monotonic one."""


def parse(data: bytes) -> Record:
    """A record as it is read: `priority,sequence,microseconds,flags;text`, then lines with keys.

    >>> parse(b"4,812,5140900,-;NVRM: first\\\\x0aNVRM: second\\n SUBSYSTEM=pci\\n")
    Record(text='NVRM: first\\nNVRM: second', sequence=812, uptime=5.1409)
    """
    whole = data.decode("utf-8", "replace")
    head, semicolon, body = whole.partition(";")
    fields = head.split(",")
    if not semicolon or len(fields) < 4 or not all(_number(field) for field in fields[1:3]):
        return Record(whole.rstrip("\n"), -1, None)
    # Keys are on lines that begin with a space.
    text = body.split("\n", 1)[0]
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    return Record(text, int(fields[1]), int(fields[2]) / 1e6)


def _number(field: str) -> bool:
    return field.isascii() and field.isdigit() and len(field) < 20


class MessageDevice:
    """/dev/kmsg from its oldest record. What is there at first is history.

    `seen` is the sequence of the last record that an earlier opening read, -1 if there was none: what comes
    after it is new, the rest is left out. Raises OSError if it cannot be opened.
    """

    def __init__(
        self,
        path: str,
        seen: int = -1,
        opener: Callable[[str, int], int] = os.open,
        read: Callable[[int, int], bytes] = os.read,
    ) -> None:
        self._descriptor = opener(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._read = read
        self._seen = seen
        self._caught_up = False
        self._overrun = False
        self.sequence = seen
        """Of the newest record read."""
        self.lost = 0
        self.more = False

    @property
    def waited_for(self) -> int | None:
        """The device tells when there is a record."""
        return self._descriptor

    def records(self) -> Iterator[tuple[str, float | None, bool]]:
        """What has come, some hundred at most. Raises OSError if it can be read no more."""
        for _ in range(_AT_ONCE):
            try:
                data = self._read(self._descriptor, _LARGEST)
            except BlockingIOError:
                self._caught_up = True
                return
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise
                self._overrun = True  # the next read gives the oldest record that is left
                continue
            if not data:
                raise OSError(errno.EIO, "the message device has ended")
            record = parse(data)
            self._count_lost(record)
            if 0 <= record.sequence <= self._seen:
                continue
            self.sequence = max(self.sequence, record.sequence)
            yield record.text, record.uptime, self._caught_up or self._seen >= 0

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def _count_lost(self, record: Record) -> None:
        if not self._overrun:
            return
        self._overrun = False
        gap = record.sequence - self.sequence - 1 if record.sequence >= 0 and self.sequence >= 0 else 1
        self.lost += max(1, gap)
        log.warning("the kernel overwrote %d records of its log before they were read", max(1, gap))
