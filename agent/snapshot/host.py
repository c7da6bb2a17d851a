"""The host's line: kernel, load, memory, the fullest file system."""

from __future__ import annotations

from agent.snapshot.facts import Facts, increase
from agent.snapshot.shape import HostView

_IMAGES = frozenset({"squashfs", "erofs", "iso9660"})
"""File systems that are always full: read-only images."""


def host_view(before: Facts | None, now: Facts) -> HostView:
    """What the node_* series say."""
    mountpoint, used = _fullest(now)
    booted = now.value("node_boot_time_seconds")
    return HostView(
        kernel=_kernel(now),
        cpus=len({labels.value("cpu") for labels, _ in now.named("node_cpu_seconds_total")}) or None,
        cpu_busy_ratio=_busy(before, now),
        load1=now.value("node_load1"),
        load5=now.value("node_load5"),
        load15=now.value("node_load15"),
        memory_total_bytes=now.value("node_memory_MemTotal_bytes"),
        memory_available_bytes=now.value("node_memory_MemAvailable_bytes"),
        fullest_mountpoint=mountpoint,
        fullest_used_ratio=used,
        uptime_seconds=now.at - booted if booted is not None else None,
    )


def _kernel(now: Facts) -> str:
    for labels, _ in now.named("node_uname_info"):
        return f"{labels.value('sysname')} {labels.value('release')}".strip()
    return ""


def _busy(before: Facts | None, now: Facts) -> float | None:
    everything = increase(before, now, "node_cpu_seconds_total")
    idle = increase(before, now, "node_cpu_seconds_total", {"mode": "idle"})
    waiting = increase(before, now, "node_cpu_seconds_total", {"mode": "iowait"}) or 0.0
    if not everything or idle is None:
        return None
    return min(1.0, max(0.0, 1.0 - (idle + waiting) / everything))


def _fullest(now: Facts) -> tuple[str, float | None]:
    """Mount point and used share; of the file systems that hold something."""
    best: tuple[str, float | None] = ("", None)
    for labels, size in now.named("node_filesystem_size_bytes"):
        if size <= 0 or labels.value("fstype") in _IMAGES:
            continue
        place = {"mountpoint": labels.value("mountpoint"), "device": labels.value("device")}
        available = now.value("node_filesystem_avail_bytes", place)
        free = now.value("node_filesystem_free_bytes", place)
        if available is None or free is None:
            continue
        # As df counts: what is kept for root is neither used nor available.
        used = (size - free) / (size - free + available) if size - free + available > 0 else 0.0
        if best[1] is None or used > best[1]:
            best = (labels.value("mountpoint"), used)
    return best
