"""Paging and out-of-memory kills, from /proc/vmstat."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agent.host import Host, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

# The fields that node_exporter exports by default.
_WANTED = re.compile(rb"^((?:oom_kill|pgpg|pswp|pg.*fault)\S*) (\d+)$", re.MULTILINE)


@register("vmstat")
class Vmstat(Collector):
    """`node_vmstat_<field>`, untyped as node_exporter leaves them."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._families: dict[bytes, Metric] = {}

    def collect(self) -> Iterator[Sample]:
        """One sample a wanted field."""
        for field, value in _WANTED.findall(self.host.proc("vmstat")):
            metric = self._families.get(field) or self._meet(field)
            yield Sample(metric.name, labelled(), float(value))

    def _meet(self, field: bytes) -> Metric:
        name = field.decode()
        self._families[field] = Metric(
            f"node_vmstat_{name}", "unknown", f"/proc/vmstat information field {name}."
        )
        self.metrics = tuple(self._families.values())
        return self._families[field]
