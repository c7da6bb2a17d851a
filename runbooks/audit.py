"""The audit log: one JSON object a line, each with the hash of the one before, on disk before an action.

A changed, deleted or inserted line breaks the chain at that line. The end of the chain is also written to
a small file beside the log, so that lines missing at the end are noticed too. Whoever can write both files
can still write a new history: ship the log elsewhere if that matters.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from model.decision import Decision, allow, refuse

_START = "0" * 64
_TAIL = 64 * 1024


class AuditUnavailable(Exception):
    """The audit log cannot be written or read; without it nothing is done."""


@dataclass(frozen=True, slots=True)
class _End:
    sequence: int
    hash: str


class AuditLog:
    """An audit log that is open for appending, by this process alone. Safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._file: int | None = None
        self._end = _End(0, _START)

    def append(self, entry: Mapping[str, Any]) -> int:
        """Write one line and wait until it is on disk; returns its number. Raises AuditUnavailable."""
        with self._lock:
            try:
                return self._append(entry)
            except OSError as error:
                self._close()
                raise AuditUnavailable(f"the audit log {self.path} cannot be written: {error}") from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._close()

    def _append(self, entry: Mapping[str, Any]) -> int:
        file = self._opened()
        line = _Line.following(self._end, entry)
        size = os.fstat(file).st_size
        try:
            _write_all(file, line.text.encode())
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)  # half a line must not stand in front of the next one
            raise
        self._end = _End(line.sequence, line.hash)
        _replace(_end_file(self.path), f"{line.sequence} {line.hash}\n")
        return line.sequence

    def _opened(self) -> int:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._end = _end_of(file)
            except BaseException:
                os.close(file)
                raise
            self._file = file
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


@dataclass(frozen=True, slots=True)
class _Line:
    sequence: int
    hash: str
    text: str

    @classmethod
    def following(cls, end: _End, entry: Mapping[str, Any]) -> _Line:
        sequence = end.sequence + 1
        body = {**entry, "sequence": sequence, "previous": end.hash}
        found = _hash(body)
        return cls(sequence, found, _canonical({**body, "hash": found}) + "\n")


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The entries, the oldest first; a line that is no JSON is passed over (`verify` names it).

    Raises AuditUnavailable.
    """
    for _, line in _lines(path):
        entry = _parse(line)
        if entry is not None:
            yield entry


def verify(path: Path) -> Decision:
    """Whether the log is whole; a refusal names the first line that is not. Raises AuditUnavailable."""
    end, number = _End(0, _START), 0
    recorded = _recorded_end(path)
    reached = recorded is None or recorded == end
    for number, line in _lines(path):
        entry = _parse(line)
        if entry is None:
            return refuse(f"{path}: line {number} is not a line of the audit log")
        claimed = entry.pop("hash", "")
        if _hash(entry) != claimed:
            return refuse(f"{path}: line {number} was changed: its content does not have its hash")
        if (entry.get("sequence"), entry.get("previous")) != (end.sequence + 1, end.hash):
            return refuse(f"{path}: before line {number} a line was deleted, inserted or moved")
        end = _End(end.sequence + 1, claimed)
        reached = reached or recorded == end
    if not reached and recorded is not None:
        missing = f"{path}: the log ends at entry {end.sequence} but entry {recorded.sequence} was written"
        return refuse(f"{missing}: lines are missing at the end")
    return allow(f"{path}: {number} lines, none changed or missing")


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            yield from enumerate(file, start=1)
    except FileNotFoundError:
        return
    except OSError as error:
        raise AuditUnavailable(f"the audit log {path} cannot be read: {error}") from error


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


def _canonical(body: Mapping[str, Any]) -> str:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(body).encode()).hexdigest()


def _end_of(file: int) -> _End:
    """The last line's number and hash; what a crash left unfinished behind it is cut off."""
    size = os.fstat(file).st_size
    data = os.pread(file, _TAIL, max(0, size - _TAIL))
    whole, newline, torn = data.rpartition(b"\n")
    if torn:
        os.ftruncate(file, size - len(torn))  # never acknowledged: an acknowledged line has its newline
    if not newline:
        return _End(0, _START)
    last = _parse(whole.rpartition(b"\n")[2].decode(errors="replace")) or {}
    if not isinstance(last.get("sequence"), int) or not isinstance(last.get("hash"), str):
        raise OSError("its last line is damaged: move the file aside, a new one is begun")
    return _End(last["sequence"], last["hash"])


def _write_all(file: int, data: bytes) -> None:
    while data:
        data = data[os.write(file, data) :]


def _end_file(path: Path) -> Path:
    return path.with_name(path.name + ".end")


def _recorded_end(path: Path) -> _End | None:
    try:
        sequence, found = _end_file(path).read_text().split()
        return _End(int(sequence), found)
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise AuditUnavailable(f"the end of the audit log {path} cannot be read: {error}") from error


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text)
    scratch.replace(path)
