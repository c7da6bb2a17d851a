"""Space of mounted filesystems, and a mount that does not answer."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from agent.collectors.filesystem import Filesystem
from agent.host import Host
from model.metric import Sample

Flat = Callable[[Iterable[Sample]], dict[str, float]]
ROOT = "{device=/dev/sda1,fstype=ext4,mountpoint=/}"
NFS = "{device=server:/models,fstype=nfs4,mountpoint=/mnt/my models}"


def _answer(path: str) -> os.statvfs_result:
    return os.statvfs_result((4096, 1024, 1000, 400, 300, 5000, 4000, 4000, 0, 255))


def test_sizes_in_bytes_without_pseudo_filesystems(host: Host, flat: Flat) -> None:
    samples = flat(Filesystem(host, _answer).collect())
    assert {name.partition("{")[2] for name in samples} == {ROOT[1:], NFS[1:]}
    assert samples[f"node_filesystem_size_bytes{ROOT}"] == 1000 * 1024
    assert samples[f"node_filesystem_free_bytes{ROOT}"] == 400 * 1024
    assert samples[f"node_filesystem_avail_bytes{ROOT}"] == 300 * 1024
    assert samples[f"node_filesystem_files{ROOT}"] == 5000
    assert samples[f"node_filesystem_files_free{ROOT}"] == 4000
    assert samples[f"node_filesystem_readonly{ROOT}"] == 0
    assert samples[f"node_filesystem_readonly{NFS}"] == 1


def test_what_is_mounted_and_unmounted_later_is_seen(host: Host, flat: Flat) -> None:
    collector, table = Filesystem(host, _answer), Path(host.procfs, "1/mounts")
    flat(collector.collect())
    table.write_text("/dev/sdb1 /data xfs rw 0 0\n")
    host.begin_round()
    samples = flat(collector.collect())
    assert {name.partition("{")[2] for name in samples} == {"device=/dev/sdb1,fstype=xfs,mountpoint=/data}"}


def test_an_error_is_reported_for_its_mount_only(host: Host, flat: Flat) -> None:
    def statvfs(path: str) -> os.statvfs_result:
        if path != "/":
            raise OSError(116, "Stale file handle")
        return _answer(path)

    samples = flat(Filesystem(host, statvfs).collect())
    assert samples[f"node_filesystem_device_error{NFS}"] == 1
    assert samples[f"node_filesystem_device_error{ROOT}"] == 0
    assert f"node_filesystem_size_bytes{NFS}" not in samples


def test_a_hung_mount_blocks_only_itself_and_is_asked_once(host: Host, flat: Flat) -> None:
    server_is_back, returned = threading.Event(), threading.Event()
    asked: list[str] = []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        if path != "/" and not server_is_back.is_set():
            server_is_back.wait()
            returned.set()
        return _answer(path)

    collector = Filesystem(host, statvfs, deadline=0.02)
    for _ in range(3):
        samples = flat(collector.collect())
        assert samples[f"node_filesystem_device_error{NFS}"] == 1
        assert samples[f"node_filesystem_size_bytes{ROOT}"] == 1000 * 1024
    assert asked.count("/mnt/my models") == 1, "no new call before the old one has returned"
    server_is_back.set()
    returned.wait()
    while collector._stuck["/mnt/my models"].busy:
        pass
    assert flat(collector.collect())[f"node_filesystem_device_error{NFS}"] == 0


def test_rootfs_is_where_the_container_sees_the_host(host: Host) -> None:
    asked: list[str] = []

    def statvfs(path: str) -> os.statvfs_result:
        asked.append(path)
        return _answer(path)

    host.rootfs = "/host/root"
    list(Filesystem(host, statvfs).collect())
    assert asked == ["/host/root", "/host/root/mnt/my models"]
