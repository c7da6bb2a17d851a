"""The node's clock, so that the analyzer can see it drift."""

from __future__ import annotations

from collections.abc import Iterator

from agent.host import labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample


@register("time")
class Time(Collector):
    """Seconds since the epoch, as this node believes."""

    metrics = (Metric("node_time_seconds", "gauge", "System time in seconds since epoch (1970)."),)

    def collect(self) -> Iterator[Sample]:
        """One sample."""
        yield Sample("node_time_seconds", labelled(), self.host.clock())
