"""Kernel counters, from /proc/stat."""

from __future__ import annotations

from collections.abc import Iterator

from agent.host import labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_NAMES = {
    b"intr": "node_intr_total",
    b"ctxt": "node_context_switches_total",
    b"processes": "node_forks_total",
    b"btime": "node_boot_time_seconds",
    b"procs_running": "node_procs_running",
    b"procs_blocked": "node_procs_blocked",
}


@register("stat")
class Stat(Collector):
    """Interrupts, context switches, forks, running and blocked processes, time of boot."""

    metrics = (
        Metric("node_intr_total", "counter", "Total number of interrupts serviced."),
        Metric("node_context_switches_total", "counter", "Total number of context switches."),
        Metric("node_forks_total", "counter", "Total number of forks."),
        Metric("node_boot_time_seconds", "gauge", "Node boot time, in unixtime."),
        Metric("node_procs_running", "gauge", "Number of processes in runnable state."),
        Metric("node_procs_blocked", "gauge", "Number of processes blocked waiting for I/O to complete."),
    )

    def collect(self) -> Iterator[Sample]:
        """One sample a known line."""
        for line in self.host.proc("stat").splitlines():
            # The intr line has thousands of fields on a large machine; only its first one is wanted.
            fields = line.split(None, 2)
            name = _NAMES.get(fields[0]) if fields else None
            if name is not None:
                yield Sample(name, labelled(), float(fields[1]))
