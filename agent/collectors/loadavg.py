"""Load averages, from /proc/loadavg."""

from __future__ import annotations

from collections.abc import Iterator

from agent.host import labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_NAMES = ("node_load1", "node_load5", "node_load15")


@register("loadavg")
class Loadavg(Collector):
    """How many processes want to run, averaged over 1, 5 and 15 minutes."""

    metrics = (
        Metric("node_load1", "gauge", "1m load average."),
        Metric("node_load5", "gauge", "5m load average."),
        Metric("node_load15", "gauge", "15m load average."),
    )

    def collect(self) -> Iterator[Sample]:
        """Three samples. Raises ValueError if the file has fewer fields."""
        fields = self.host.proc("loadavg").split()
        for name, field in zip(_NAMES, fields[:3], strict=True):
            yield Sample(name, labelled(), float(field))
