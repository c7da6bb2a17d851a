"""What a process and its children cost, read from procfs."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_NANOSECONDS = 1e9
_MB = 1_000_000


@dataclass(frozen=True)
class Usage:
    """Of a process tree at one moment."""

    processes: int
    threads: int
    pss_mb: float
    """Proportional set size, MB (10^6): memory shared with others counts by its share."""
    cpu_seconds: float
    """What the scheduler gave all living threads; clock ticks miss what runs between two of them."""


def tree(pid: int) -> list[int]:
    """The process and all its living descendants."""
    found = [pid]
    for each in found:
        try:
            tasks = os.listdir(f"/proc/{each}/task")
            children = [Path(f"/proc/{each}/task/{task}/children").read_text() for task in tasks]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [int(child) for line in children for child in line.split()]
    return found


def usage(pid: int) -> Usage:
    """Of the tree below `pid`, itself included."""
    pids = tree(pid)
    threads, pss, cpu = 0, 0.0, 0.0
    for each in pids:
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            pss += _pss(each)
        except (FileNotFoundError, ProcessLookupError):
            continue
        threads += int(fields[17])
        cpu += _seconds(each)
    return Usage(len(pids), threads, pss, cpu)


def _seconds(pid: int) -> float:
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / _NANOSECONDS


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / _MB
    return 0.0
