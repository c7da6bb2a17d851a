"""Frames that could not be delivered, on disk until they are.

A folder of segment files, oldest deleted when the spool is full. A record carries a checksum, so
what a kill tore off at the end of a file is found and skipped; a segment holds every schema that its
frames need, so dropping one harms no other. A `cursor` file, replaced by rename, says how far the
oldest segment has been delivered; without it frames are sent again, and the analyzer knows them by
boot and sequence.

Written through the page cache without fsync: a killed agent loses nothing, a power cut the last seconds.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("fleetowl.agent")

# Length of the payload, CRC-32 of all that follows it and of the length, kind, key.
_HEADER = struct.Struct("<IIB8s")
_FRAME, _SCHEMA = 1, 2
_SUFFIX = ".seg"


class Record(NamedTuple):
    """A stored frame: the hash of the schema that it needs, and its bytes."""

    key: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """The oldest undelivered frames, the schemas that they need, and where they end."""

    records: list[Record]
    schemas: dict[bytes, bytes]
    end: tuple[int, int]
    counts: dict[int, int]


@dataclass(slots=True)
class SpoolStats:
    """What became of frames in this life of the agent."""

    spooled: int = 0
    dropped_full: int = 0
    dropped_unwritable: int = 0
    corrupt: int = 0


@dataclass(slots=True)
class _Segment:
    number: int
    path: Path
    size: int = 0
    pending: int = 0
    keys: set[bytes] = field(default_factory=set)


class Spool:
    """A bounded queue of frames on disk. One process at a time; not for several threads."""

    def __init__(
        self,
        folder: Path,
        max_bytes: int,
        segment_bytes: int | None = None,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.stats = SpoolStats()
        self.trouble = ""
        """Why the last write failed, empty while writing works."""
        self._segment_bytes = segment_bytes or max(64 * 1024, min(4 << 20, max_bytes // 16))
        self._write_bytes = write
        self._segments: list[_Segment] = []
        self._current: _Segment | None = None
        self._fd = self._lock_fd = -1
        self._cursor = (0, 0)
        self._next_number = 1
        self._head_schemas: dict[bytes, bytes] = {}
        self._head = -1

    @property
    def size(self) -> int:
        """What the spool takes on disk."""
        return sum(segment.size for segment in self._segments)

    @property
    def frames(self) -> int:
        """Frames waiting to be delivered."""
        return sum(segment.pending for segment in self._segments)

    def open(self) -> None:
        """Find what an earlier life left behind. A folder that cannot be used becomes `trouble`."""
        try:
            self._take_over()
        except (OSError, ValueError) as error:
            self._fail(error)

    def close(self) -> None:
        """Let go of the folder; what is in it stays."""
        self._end_segment()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
        self._lock_fd = -1

    def append(self, key: bytes, schema: bytes, data: bytes) -> bool:
        """Keep a frame and the schema that it needs. False if it could not be kept, which is counted."""
        try:
            if not self._make_room(len(schema) + len(data) + 2 * _HEADER.size):
                self.stats.dropped_full += 1
                return False
            self._store(key, schema, data)
        except OSError as error:
            self.stats.dropped_unwritable += 1
            self._fail(error)
            return False
        self.stats.spooled += 1
        if self.trouble:
            self.trouble = ""
            log.info("the spool %s can be written again", self.folder)
        return True

    def batch(self, max_records: int, max_bytes: int) -> Batch | None:
        """The oldest undelivered frames, at least one, within the limits; None if there is none."""
        while self._segments:
            segment = self._segments[0]
            try:
                found = self._read(segment, max_records, max_bytes)
            except OSError as error:
                self._fail(error)
                return None
            if found.records:
                return found
            if segment is self._current and segment.pending == 0 and segment.size == 0:
                return None
            # Nothing more can be read from it: delivered to its end, or the rest is damaged.
            self.stats.corrupt += segment.pending
            self._remove(segment)
        return None

    def acknowledge(self, batch: Batch) -> None:
        """The frames of this batch were delivered: forget them, for good once a segment is through."""
        if batch.end <= self._cursor:
            return  # the segment was dropped in the meantime
        self._cursor = batch.end
        for segment in list(self._segments):
            segment.pending -= batch.counts.get(segment.number, 0)
            if segment.number < batch.end[0] or (segment.number, segment.size) <= batch.end:
                self._remove(segment)
        try:
            self._save_cursor()
        except OSError as error:
            self._fail(error)

    # --- segments ---

    def _take_over(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        self._cursor = self._load_cursor()
        self._segments.clear()
        numbered = sorted((int(path.stem), path) for path in self.folder.glob(f"*{_SUFFIX}"))
        for number, path in numbered:
            self._adopt(number, path)
        self._next_number = max([self._cursor[0], *(number for number, _ in numbered)]) + 1

    def _adopt(self, number: int, path: Path) -> None:
        if number < self._cursor[0]:
            path.unlink()  # delivered; the kill came between the cursor and this
            return
        start = self._cursor[1] if number == self._cursor[0] else 0
        segment = _Segment(number, path, path.stat().st_size)
        for offset, kind, _, _ in self._records(path.read_bytes(), 0):
            segment.pending += kind == _FRAME and offset > start
        self._segments.append(segment)

    def _make_room(self, needed: int) -> bool:
        """False if the frame is larger than the whole spool."""
        if needed > self.max_bytes:
            return False
        while self._segments and self.size + needed > self.max_bytes:
            oldest = self._segments[0]
            self.stats.dropped_full += oldest.pending
            self._remove(oldest)
        return True

    def _store(self, key: bytes, schema: bytes, data: bytes) -> None:
        segment = self._current
        if segment is None or segment.size + len(data) + _HEADER.size > self._segment_bytes:
            segment = self._begin_segment()
        blob = _pack(_FRAME, key, data)
        if schema and key not in segment.keys:
            blob = _pack(_SCHEMA, key, schema) + blob
        self._write(segment, blob)
        segment.keys.add(key)
        segment.pending += 1

    def _begin_segment(self) -> _Segment:
        self._end_segment()
        if self._lock_fd < 0:
            self._take_over()  # it could not be had before
        number = self._next_number
        path = self.folder / f"{number:010d}{_SUFFIX}"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._next_number += 1
        self._current = _Segment(number, path)
        self._segments.append(self._current)
        return self._current

    def _end_segment(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._current = -1, None

    def _lock(self) -> None:
        """Two agents in one folder would take each other's frames for delivered. Raises OSError."""
        fd = os.open(self.folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            raise OSError(errno.EBUSY, "another agent uses this folder") from error
        self._lock_fd = fd

    def _write(self, segment: _Segment, blob: bytes) -> None:
        """All of `blob` or nothing of it. Raises OSError."""
        written = 0
        try:
            while written < len(blob):
                count = self._write_bytes(self._fd, blob[written:])
                if count == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                written += count
        except OSError:
            # Half a record in the middle of a segment would cost the ones after it.
            os.ftruncate(self._fd, segment.size)
            raise
        segment.size += len(blob)

    def _remove(self, segment: _Segment) -> None:
        if segment is self._current:
            self._end_segment()
        self._segments.remove(segment)
        try:
            segment.path.unlink(missing_ok=True)
        except OSError as error:
            self._fail(error)

    # --- reading ---

    def _read(self, segment: _Segment, max_records: int, max_bytes: int) -> Batch:
        start = self._cursor[1] if self._cursor[0] == segment.number else 0
        with open(segment.path, "rb") as file:
            if self._head != segment.number:
                self._head, self._head_schemas = segment.number, {}
                for _, kind, key, data in self._records(file.read(start), 0):
                    if kind == _SCHEMA:
                        self._head_schemas[key] = data
            file.seek(start)
            records: list[Record] = []
            end, taken = start, 0
            for offset, kind, key, data in self._records(file.read(segment.size - start), start):
                if kind == _SCHEMA:
                    self._head_schemas[key] = data
                elif records and (len(records) == max_records or taken + len(data) > max_bytes):
                    break
                else:
                    records.append(Record(key, data))
                    taken += len(data)
                end = offset
        if len(records) == segment.pending:
            end = segment.size  # nothing readable follows, so a torn tail does not keep the file
        needed = {record.key for record in records}
        schemas = {key: data for key, data in self._head_schemas.items() if key in needed}
        return Batch(records, schemas, (segment.number, end), {segment.number: len(records)})

    def _records(self, data: bytes, base: int) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Offset of the end, kind, key and payload of each whole record; damaged ones are left out."""
        at = 0
        while at + _HEADER.size <= len(data):
            length, checksum, kind, key = _HEADER.unpack_from(data, at)
            start, at = at + _HEADER.size, at + _HEADER.size + length
            if at > len(data):
                return
            payload = data[start:at]
            if checksum == _checksum(length, kind, key, payload):
                yield base + at, kind, key, payload

    # --- the cursor and trouble ---

    def _load_cursor(self) -> tuple[int, int]:
        try:
            number, offset = (self.folder / "cursor").read_text().split()
            return int(number), int(offset)
        except (FileNotFoundError, ValueError):
            return 0, 0

    def _save_cursor(self) -> None:
        path, fresh = self.folder / "cursor", self.folder / "cursor.new"
        fresh.write_text(f"{self._cursor[0]} {self._cursor[1]}\n")
        fresh.replace(path)

    def _fail(self, error: OSError | ValueError) -> None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        if reason != self.trouble:
            log.warning(
                "the spool %s has trouble: %s; what cannot be kept is counted as dropped",
                self.folder,
                reason,
            )
        self.trouble = reason


def _pack(kind: int, key: bytes, data: bytes) -> bytes:
    return _HEADER.pack(len(data), _checksum(len(data), kind, key, data), kind, key) + data


def _checksum(length: int, kind: int, key: bytes, data: bytes) -> int:
    return zlib.crc32(data, zlib.crc32(struct.pack("<IB8s", length, kind, key)))
