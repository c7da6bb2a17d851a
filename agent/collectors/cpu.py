"""CPU time per mode, from /proc/stat."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agent.host import Host, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
_GUEST_MODES = ("user", "nice")
# The kernel lets idle and iowait run back by moments. A larger step back is a CPU taken out and put back.
_HOTPLUG_SECONDS = 3.0


@register("cpu")
class Cpu(Collector):
    """Seconds each CPU spent in each mode."""

    metrics = (
        Metric("node_cpu_seconds_total", "counter", "Seconds the CPUs spent in each mode.", ("cpu", "mode")),
        Metric(
            "node_cpu_guest_seconds_total",
            "counter",
            "Seconds the CPUs spent in guests (VMs) for each mode.",
            ("cpu", "mode"),
        ),
    )

    def __init__(self, host: Host, ticks_per_second: int = os.sysconf("SC_CLK_TCK")) -> None:
        super().__init__(host)
        self._second = ticks_per_second
        self._highest: dict[tuple[str, str], float] = {}

    def collect(self) -> Iterator[Sample]:
        """Eight modes a CPU, and two guest modes."""
        for line in self.host.proc("stat").splitlines():
            if not line.startswith(b"cpu"):
                break  # the cpu lines come first; the rest of this file may be long
            if line[3:4].isdigit():
                yield from self._of(line)

    def _of(self, line: bytes) -> Iterator[Sample]:
        fields = line.split()
        cpu = fields[0][3:].decode()
        seconds = [int(field) / self._second for field in fields[1:]]
        for mode, value in zip(_MODES, seconds, strict=False):
            labels = labelled(("cpu", cpu), ("mode", mode))
            yield Sample("node_cpu_seconds_total", labels, self._forward(cpu, mode, value))
        for mode, value in zip(_GUEST_MODES, seconds[len(_MODES) :], strict=False):
            yield Sample("node_cpu_guest_seconds_total", labelled(("cpu", cpu), ("mode", mode)), value)

    def _forward(self, cpu: str, mode: str, value: float) -> float:
        highest = self._highest.get((cpu, mode), 0.0)
        if value < highest <= value + _HOTPLUG_SECONDS:
            return highest
        self._highest[cpu, mode] = value
        return value
