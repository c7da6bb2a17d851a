"""Block devices, from /proc/diskstats."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from agent.host import labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

# node_exporter's default: partitions, loop, RAM and floppy devices are left out.
_EXCLUDED = re.compile(rb"(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
_SECTOR = 512.0
_MILLISECOND = 0.001


class _Column(NamedTuple):
    metric: Metric
    scale: float


def _counter(name: str, text: str, scale: float = 1.0) -> _Column:
    return _Column(Metric(f"node_disk_{name}_total", "counter", text, ("device",)), scale)


# The columns after the device's name in their order (Linux Documentation/admin-guide/iostats.rst);
# an older kernel has fewer.
_COLUMNS = (
    _counter("reads_completed", "The total number of reads completed successfully."),
    _counter("reads_merged", "The total number of reads merged."),
    _counter("read_bytes", "The total number of bytes read successfully.", _SECTOR),
    _counter("read_time_seconds", "The total number of seconds spent by all reads.", _MILLISECOND),
    _counter("writes_completed", "The total number of writes completed successfully."),
    _counter("writes_merged", "The number of writes merged."),
    _counter("written_bytes", "The total number of bytes written successfully.", _SECTOR),
    _counter("write_time_seconds", "This is the total number of seconds spent by all writes.", _MILLISECOND),
    _Column(
        Metric("node_disk_io_now", "gauge", "The number of I/Os currently in progress.", ("device",)), 1.0
    ),
    _counter("io_time_seconds", "Total seconds spent doing I/Os.", _MILLISECOND),
    _counter("io_time_weighted_seconds", "The weighted # of seconds spent doing I/Os.", _MILLISECOND),
    _counter("discards_completed", "The total number of discards completed successfully."),
    _counter("discards_merged", "The total number of discards merged."),
    _counter("discarded_sectors", "The total number of sectors discarded successfully."),
    _counter(
        "discard_time_seconds", "This is the total number of seconds spent by all discards.", _MILLISECOND
    ),
    _counter("flush_requests", "The total number of flush requests completed successfully"),
    _counter(
        "flush_requests_time_seconds",
        "This is the total number of seconds spent by all flush requests.",
        _MILLISECOND,
    ),
)


@register("diskstats")
class Diskstats(Collector):
    """Reads, writes, bytes and seconds of each whole disk."""

    metrics = tuple(column.metric for column in _COLUMNS)

    def collect(self) -> Iterator[Sample]:
        """One sample a column a disk."""
        for line in self.host.proc("diskstats").splitlines():
            fields = line.split()
            if len(fields) < 4 or _EXCLUDED.fullmatch(fields[2]):
                continue
            labels = labelled(("device", fields[2].decode()))
            for column, field in zip(_COLUMNS, fields[3:], strict=False):
                yield Sample(column.metric.name, labels, int(field) * column.scale)
