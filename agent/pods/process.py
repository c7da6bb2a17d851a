"""What procfs tells any user about a process. Never its command line, which may hold prompts and secrets."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from agent.pods.cgroup import Membership, membership

_PAGE = os.sysconf("SC_PAGE_SIZE")
_COMM = 15  # characters, as the kernel cuts it (TASK_COMM_LEN)


class Facts(NamedTuple):
    """A process as procfs shows it."""

    comm: str
    """The kernel's short name of it, at most 15 characters."""
    started: int
    """Clock ticks since boot: with the pid it names one process for ever."""
    anonymous: int
    """Bytes of memory that belong to it alone; mapped files (weights being loaded) are left out."""
    where: Membership


def facts(procfs: Path, pid: int) -> Facts | None:
    """None if there is no such process to be seen: it has ended, or procfs is another PID namespace's."""
    folder = f"{procfs}/{pid}"
    try:
        stat = _read(f"{folder}/stat")
        # The name stands in parentheses and may hold some itself.
        begin, end = stat.index(b"(") + 1, stat.rindex(b")")
        _, resident, shared = (int(count) for count in _read(f"{folder}/statm").split()[:3])
        return Facts(
            shown(stat[begin:end].decode(errors="replace")),
            int(stat[end + 1 :].split()[19]),
            max(0, resident - shared) * _PAGE,
            membership(_read(f"{folder}/cgroup").decode(errors="replace")),
        )
    except (OSError, ValueError, IndexError):
        return None


def shown(name: str) -> str:
    """A process's name as a label: the last part of a path, without arguments, short and printable.

    >>> shown("VLLM::EngineCore_0"), shown("/usr/bin/python3.11 serve --prompt secret"), shown("a\\tb")
    ('VLLM::EngineCor', 'python3.11', 'a')
    """
    first = name.split()[0] if name.split() else ""
    printable = "".join(sign if sign.isprintable() else "?" for sign in first.rpartition("/")[2])
    return printable[:_COMM]


def _read(path: str) -> bytes:
    with open(path, "rb", buffering=0) as file:
        return file.read(1 << 16)
