"""A small procfs and sysfs, and what else the agent's tests share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from agent.host import Host
from model.metric import Sample
from tests.agent.pushing import Rig

PROC = {
    "loadavg": "0.50 1.25 2.00 2/300 4242\n",
    "stat": (
        "cpu  300 20 100 9000 40 0 6 2 12 0\n"
        "cpu0 100 10 50 4500 20 0 3 1 10 0\n"
        "cpu1 200 10 50 4500 20 0 3 1 2 0\n"
        "intr 123456 7 0 0 9\nctxt 777\nbtime 1700000000\nprocesses 4242\nprocs_running 3\nprocs_blocked 1\n"
        "softirq 99 1 2 3\n"
    ),
    "meminfo": "MemTotal:  16000 kB\nMemAvailable:  8000 kB\nActive(anon):  100 kB\nHugePages_Total:  4\n",
    "vmstat": (
        "nr_free_pages 5\npgpgin 11\npgpgout 12\npswpin 1\npswpout 2\npgfault 300\npgmajfault 4\noom_kill 7\n"
    ),
    "pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 total=9\n",
    "pressure/io": "some avg10=0.00 avg60=0.00 avg300=0.00 total=2000000\nfull avg10=0.00 total=500000\n",
    "pressure/memory": "some avg10=0.00 total=3000000\nfull avg10=0.00 total=250000\n",
    "diskstats": (
        "   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1\n"
        " 259       0 nvme0n1 10 2 8 4000 20 3 16 6000 1 9000 11000 4 5 6 7000 8 900\n"
        " 259       1 nvme0n1p1 9 9 9 9 9 9 9 9 9 9 9\n"
    ),
    "net/dev": (
        "Inter-|   Receive        |  Transmit\n"
        " face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls\n"
        "  eth0:    1000      10    1    2    0     0     0     0     2000      20    3    4    0  0 0 0\n"
        "eth0:1: 5 6 0 0 0 0 0 0 7 8 0 0 0 0 0 0\n"
    ),
    "sys/kernel/ostype": "Linux\n",
    "sys/kernel/osrelease": "6.1.0\n",
    "sys/kernel/version": "#1 SMP\n",
    "sys/kernel/hostname": "gpu-7\n",
    "sys/kernel/domainname": "(none)\n",
    "1/mounts": (
        "/dev/sda1 / ext4 rw,relatime 0 0\n"
        "server:/models /mnt/my\\040models nfs4 ro,hard 0 0\n"
        "proc /proc proc rw 0 0\n"
        "tmpfs /dev/shm tmpfs rw 0 0\n"
        "overlay /var/lib/docker/overlay2/x overlay rw 0 0\n"
    ),
}
SYS = {
    "class/net/eth0/operstate": "up\n",
    "class/net/eth0/speed": "100000\n",
    "class/net/veth1/operstate": "down\n",
    "class/net/veth1/speed": "-1\n",
}


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    """The files under `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host of two CPUs, one NVMe disk and one NFS mount."""
    return Host(
        "gpu-7", write_tree(tmp_path / "proc", PROC), write_tree(tmp_path / "sys", SYS), clock=lambda: 1e9
    )


@pytest.fixture
def flat() -> Callable[[Iterable[Sample]], dict[str, float]]:
    """Samples as {series as text: value}."""

    def spell(samples: Iterable[Sample]) -> dict[str, float]:
        spelled = {}
        for sample in samples:
            inner = ",".join(f"{name}={value}" for name, value in sample.labels.items())
            spelled[f"{sample.name}{{{inner}}}" if inner else sample.name] = sample.value
        return spelled

    return spell


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    """A pusher between an analyzer and a spool, on one clock."""
    return Rig(tmp_path)
