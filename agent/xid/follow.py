"""A file that the kernel's log is written to (kern.log, a pipe): followed over rotation and truncation."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator

log = logging.getLogger("fleetowl.agent")

_CHUNK = 16 * 1024
_AT_ONCE = 256 * 1024  # bytes before the event loop has its turn: some 20 ms
_LINES_AT_ONCE = 500  # likewise, for XIDs cost more than others; a chunk is read to its end
_SKIPPED_AT_ONCE = 4 << 20  # bytes in which only the lines are counted
_BACKLOG = 8 << 20  # bytes that may wait; beyond, all but the newest half of it is skipped
_HISTORY = 1 << 20  # bytes of what was there before that are looked at
_LONGEST = 64 * 1024  # bytes of a line without an end that are kept


class FollowedFile:
    """Lines of a file, from its end; of what was there before, the last MiB is history.

    With `from_start` all of it is new: the file came while it was waited for. Raises OSError if it cannot be
    opened. A pipe is read as it comes.
    """

    def __init__(self, path: str, from_start: bool = False) -> None:
        self._path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._rest = b""
        self._skip_line = self._cut = self._behind = False
        self._skip_to = 0
        self._allowed = self._lines_allowed = 0
        self.lost = 0
        self.more = False
        info = os.fstat(self._descriptor)
        self._regular = stat.S_ISREG(info.st_mode)
        # Where what is new begins.
        self._new_from = info.st_size if self._regular and not from_start else 0
        self._at = max(0, self._new_from - _HISTORY)
        if self._regular and self._at:
            os.lseek(self._descriptor, self._at, os.SEEK_SET)
            self._skip_line = True

    @property
    def waited_for(self) -> int | None:
        """The kernel does not tell when a file grows."""
        return None

    def records(self) -> Iterator[tuple[str, float | None, bool]]:
        """What has come, as much as one turn may take. Raises OSError if it can be read no more."""
        self._allowed, self._lines_allowed, self.more = _AT_ONCE, _LINES_AT_ONCE, False
        if self._regular:
            self._look_at_size()
        yield from self._lines()
        if not self.more and self._rotated():
            yield from self._lines()  # what was written between the last look and the rotation
            if not self.more:
                self._reopen()
                yield from self._lines()

    def close(self) -> None:
        """Let go of it."""
        os.close(self._descriptor)

    def _look_at_size(self) -> None:
        size = os.fstat(self._descriptor).st_size
        if size < self._at:
            self._begin_again(self._descriptor)
        waiting = size - self._at
        if self._at < max(self._new_from, self._skip_to) or waiting <= _BACKLOG:
            return
        self._skip_to = size - _BACKLOG // 2
        if not self._behind:
            self._behind = True
            log.warning(
                "agent.kernel_log.path %s: %d bytes wait to be read, more than %d; the oldest are skipped",
                self._path,
                waiting,
                _BACKLOG,
            )

    def _lines(self) -> Iterator[tuple[str, float | None, bool]]:
        if self._at < self._skip_to and not self._skip():
            return
        while data := self._chunk():
            new = self._at >= self._new_from
            self._at += len(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            if self._skip_line and lines:
                self._skip_line = False
                del lines[0]
            self._cut = self._cut and not lines
            for line in lines:
                yield line.decode("utf-8", "replace"), None, new
            if len(self._rest) > _LONGEST:
                self._rest = self._rest[:_LONGEST]
                self.lost += not self._cut
                self._cut = True
            self._allowed -= len(data)
            self._lines_allowed -= len(lines)
            if self._allowed <= 0 or self._lines_allowed <= 0:
                self.more = True
                return
        self._behind = False

    def _skip(self) -> bool:
        """Count what is not read, as far as one turn goes. Whether it is through."""
        end = min(self._skip_to, self._at + _SKIPPED_AT_ONCE)
        while self._at < end and (data := os.read(self._descriptor, min(_CHUNK, end - self._at))):
            self._at += len(data)
            self.lost += data.count(b"\n")
        self.more = self._at < self._skip_to
        if self.more:
            return False
        # The line in which it ends is lost too.
        self.lost += 1
        self._rest, self._skip_line = b"", True
        return True

    def _chunk(self) -> bytes:
        # History and what is new are never in one piece.
        size = min(_CHUNK, self._new_from - self._at) if self._at < self._new_from else _CHUNK
        try:
            return os.read(self._descriptor, size)
        except BlockingIOError:
            return b""

    def _rotated(self) -> bool:
        if not self._regular:
            return False
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False  # between the two steps of a rotation; the old file is read on
        ours = os.fstat(self._descriptor)
        return (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino)

    def _reopen(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        os.close(self._descriptor)
        self._begin_again(descriptor)

    def _begin_again(self, descriptor: int) -> None:
        if descriptor == self._descriptor:
            os.lseek(descriptor, 0, os.SEEK_SET)
        self._descriptor = descriptor
        self._at = self._new_from = self._skip_to = 0
        self._rest, self._skip_line = b"", False
