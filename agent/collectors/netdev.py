"""Network traffic per interface, from /proc/net/dev."""

from __future__ import annotations

from collections.abc import Iterator

from agent.host import NoData, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

# The column of each counter among the sixteen after the interface's name.
_COLUMNS = {
    "node_network_receive_bytes_total": 0,
    "node_network_receive_packets_total": 1,
    "node_network_receive_errs_total": 2,
    "node_network_receive_drop_total": 3,
    "node_network_transmit_bytes_total": 8,
    "node_network_transmit_packets_total": 9,
    "node_network_transmit_errs_total": 10,
    "node_network_transmit_drop_total": 11,
}


@register("netdev")
class Netdev(Collector):
    """Bytes, packets, errors and drops, received and transmitted.

    Read as process 1 sees them, so that an agent in a container with the host's /proc shows the host's
    interfaces and not its own.
    """

    metrics = tuple(
        Metric(name, "counter", f"Network device statistic {name[13:-6]}.", ("device",)) for name in _COLUMNS
    )

    def collect(self) -> Iterator[Sample]:
        """Eight samples an interface."""
        for line in self._read().splitlines()[2:]:
            device, _, rest = line.rpartition(b":")
            fields = rest.split()
            labels = labelled(("device", device.strip().decode()))
            for name, column in _COLUMNS.items():
                yield Sample(name, labels, float(fields[column]))

    def _read(self) -> bytes:
        try:
            return self.host.proc("1/net/dev")
        except (NoData, PermissionError):
            return self.host.proc("net/dev")
