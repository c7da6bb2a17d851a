"""Memory, from /proc/meminfo."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.host import Host, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_LINE = re.compile(rb"^([\w()]+):\s+(\d+)( kB)?$", re.MULTILINE)
_KIBIBYTE = 1024


@register("meminfo")
class Meminfo(Collector):
    """Every field of the file: `node_memory_<field>_bytes`, or without `_bytes` where it counts pages."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._families: dict[tuple[bytes, bytes], Metric] = {}

    def collect(self) -> Iterator[Sample]:
        """One sample a field."""
        for field, value, unit in _LINE.findall(self.host.proc("meminfo")):
            metric = self._families.get((field, unit)) or self._meet(field, unit)
            yield Sample(metric.name, labelled(), float(int(value) * _KIBIBYTE if unit else int(value)))

    def _meet(self, field: bytes, unit: bytes) -> Metric:
        name = field.decode().replace("(", "_").replace(")", "")
        full = f"node_memory_{name}_bytes" if unit else f"node_memory_{name}"
        metric = Metric(full, "gauge", f"Memory information field {full.removeprefix('node_memory_')}.")
        self._families[field, unit] = metric
        self.metrics = tuple(self._families.values())
        return metric
