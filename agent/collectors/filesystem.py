"""Filesystem space, from the mount table and statvfs; a dead NFS server blocks only its own mount."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from agent.host import Host, NoData, labelled
from agent.registry import Collector, register
from agent.worker import DeadlinePassed, StillBusy, Worker
from model.labels import Labels
from model.metric import Metric, Sample

# What node_exporter leaves out by default: pseudo filesystems and what container runtimes mount.
_EXCLUDED_TYPES = re.compile(
    "autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|erofs|fusectl|hugetlbfs|iso9660|mqueue"
    "|nsfs|overlay|proc|procfs|pstore|rpc_pipefs|securityfs|selinuxfs|squashfs|sysfs|tracefs"
)
_EXCLUDED_MOUNTS = re.compile(
    r"/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)"
)
_ESCAPE = re.compile(r"\\([0-7]{3})")
# Seconds for a mount, for all mounts of a round, and for each one once that is used up.
_DEADLINE, _ROUND, _LEAST = 0.25, 0.5, 0.01
_LABELS = ("device", "mountpoint", "fstype")


class _Mount(NamedTuple):
    device: str
    point: str
    type: str
    read_only: bool
    labels: Labels


@register("filesystem")
class Filesystem(Collector):
    """Size, free space, free inodes and errors of each mounted filesystem.

    statvfs on a hung mount does not return. So it is called in a worker thread; past the deadline the
    mount reports device_error, its thread is left to it, and it is not asked again until that returns.
    """

    metrics = (
        Metric("node_filesystem_size_bytes", "gauge", "Filesystem size in bytes.", _LABELS),
        Metric("node_filesystem_free_bytes", "gauge", "Filesystem free space in bytes.", _LABELS),
        Metric(
            "node_filesystem_avail_bytes",
            "gauge",
            "Filesystem space available to non-root users in bytes.",
            _LABELS,
        ),
        Metric("node_filesystem_files", "gauge", "Filesystem total file nodes.", _LABELS),
        Metric("node_filesystem_files_free", "gauge", "Filesystem total free file nodes.", _LABELS),
        Metric("node_filesystem_readonly", "gauge", "Filesystem read-only status.", _LABELS),
        Metric(
            "node_filesystem_device_error",
            "gauge",
            "Whether an error occurred while getting statistics for the given device.",
            _LABELS,
        ),
    )

    def __init__(
        self,
        host: Host,
        statvfs: Callable[[str], os.statvfs_result] = os.statvfs,
        deadline: float = _DEADLINE,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(host)
        self._statvfs = statvfs
        self._deadline = deadline
        self._timer = timer
        self._worker = Worker("statvfs")
        self._stuck: dict[str, Worker] = {}
        self._known: tuple[bytes, list[_Mount]] = (b"", [])  # a table and what it says

    def collect(self) -> Iterator[Sample]:
        """Seven samples a mount; where statvfs fails or hangs, only device_error."""
        until = self._timer() + _ROUND
        for mount in self._mounts():
            answer = self._ask(mount.point, max(_LEAST, min(self._deadline, until - self._timer())))
            labels = mount.labels
            yield Sample("node_filesystem_device_error", labels, float(answer is None))
            if answer is None:
                continue
            yield Sample("node_filesystem_size_bytes", labels, float(answer.f_blocks * answer.f_frsize))
            yield Sample("node_filesystem_free_bytes", labels, float(answer.f_bfree * answer.f_frsize))
            yield Sample("node_filesystem_avail_bytes", labels, float(answer.f_bavail * answer.f_frsize))
            yield Sample("node_filesystem_files", labels, float(answer.f_files))
            yield Sample("node_filesystem_files_free", labels, float(answer.f_ffree))
            yield Sample("node_filesystem_readonly", labels, float(mount.read_only))

    def close(self) -> None:
        """Let the threads end; one that hangs does when its call returns."""
        for worker in (self._worker, *self._stuck.values()):
            worker.close()

    def _mounts(self) -> list[_Mount]:
        table = self._table()
        if table != self._known[0]:
            self._known = table, _mounts_in(table)
        return self._known[1]

    def _table(self) -> bytes:
        """As process 1 sees it: an agent in a container has mounts of its own."""
        try:
            return self.host.proc("1/mounts")
        except (NoData, PermissionError):
            return self.host.proc("self/mounts")

    def _ask(self, point: str, deadline: float) -> os.statvfs_result | None:
        stuck = self._stuck.get(point)
        if stuck is not None:
            if stuck.busy:
                return None
            self._stuck.pop(point).close()
        path = os.path.normpath(f"{self.host.rootfs}/{point}")
        try:
            return self._worker.call(lambda: self._statvfs(path), deadline)
        except (DeadlinePassed, StillBusy):
            self._stuck[point], self._worker = self._worker, Worker("statvfs")
        except OSError:
            pass
        return None


def _mounts_in(table: bytes) -> list[_Mount]:
    """The mounts that are worth a look; of several at one place, the one on top."""
    mounts: dict[Labels, _Mount] = {}
    for line in table.decode(errors="surrogateescape").splitlines():
        fields = line.split(" ")
        if len(fields) < 4:
            continue
        point, kind = _unescape(fields[1]), fields[2]
        device = _unescape(fields[0]).encode(errors="replace").decode()
        if not _EXCLUDED_TYPES.fullmatch(kind) and not _EXCLUDED_MOUNTS.match(point):
            shown = point.encode(errors="surrogateescape").decode(errors="replace")
            labels = labelled(("device", device), ("mountpoint", shown), ("fstype", kind))
            mounts[labels] = _Mount(device, point, kind, "ro" in fields[3].split(","), labels)
    return list(mounts.values())


def _unescape(field: str) -> str:
    """The mount table writes blanks as octal escapes: `\\040`."""
    return _ESCAPE.sub(lambda found: chr(int(found[1], 8)), field) if "\\" in field else field
