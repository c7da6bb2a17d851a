"""Pressure stall information, from /proc/pressure: how long work waited for CPU, memory and I/O."""

from __future__ import annotations

from collections.abc import Iterator

from agent.host import NoData, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_MICROSECONDS = 1_000_000
# The cpu file has a `full` line since Linux 5.13, but it means nothing for the whole system.
_NAMES = {
    ("cpu", b"some"): "node_pressure_cpu_waiting_seconds_total",
    ("io", b"some"): "node_pressure_io_waiting_seconds_total",
    ("io", b"full"): "node_pressure_io_stalled_seconds_total",
    ("memory", b"some"): "node_pressure_memory_waiting_seconds_total",
    ("memory", b"full"): "node_pressure_memory_stalled_seconds_total",
}


@register("pressure")
class Pressure(Collector):
    """Total seconds of waiting (some) and of standing still (full)."""

    metrics = (
        Metric(
            "node_pressure_cpu_waiting_seconds_total",
            "counter",
            "Total time in seconds that processes have waited for CPU time",
        ),
        Metric(
            "node_pressure_io_waiting_seconds_total",
            "counter",
            "Total time in seconds that processes have waited due to IO congestion",
        ),
        Metric(
            "node_pressure_io_stalled_seconds_total",
            "counter",
            "Total time in seconds no process could make progress due to IO congestion",
        ),
        Metric(
            "node_pressure_memory_waiting_seconds_total",
            "counter",
            "Total time in seconds that processes have waited for memory",
        ),
        Metric(
            "node_pressure_memory_stalled_seconds_total",
            "counter",
            "Total time in seconds no process could make progress due to memory congestion",
        ),
    )

    def collect(self) -> Iterator[Sample]:
        """Five samples. Raises NoData on a kernel without pressure stall information."""
        for resource in ("cpu", "io", "memory"):
            try:
                lines = self.host.proc(f"pressure/{resource}").splitlines()
            except NoData as nothing:
                raise NoData("the kernel has no pressure stall information (CONFIG_PSI, psi=1)") from nothing
            for line in lines:
                kind, _, rest = line.partition(b" ")
                name = _NAMES.get((resource, kind))
                if name is not None:
                    total = int(rest.rpartition(b"total=")[2])
                    yield Sample(name, labelled(), total / _MICROSECONDS)
