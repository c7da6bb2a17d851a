"""InfiniBand and RoCE ports, from sysfs: state, rate, traffic and errors."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agent.host import NoData, labelled
from agent.registry import Collector, register
from model.labels import Labels
from model.metric import Metric, Sample

_LABELS = ("device", "port")
_WORD = 4  # bytes: the counters of data count words of 32 bits (InfiniBand specification, PortCounters)
_BYTES_OF_GIGABIT = 125_000_000

_COUNTERS = {
    "link_downed": (
        "link_downed_total",
        "Number of times the link failed to recover from an error state and went down",
        1,
    ),
    "link_error_recovery": (
        "link_error_recovery_total",
        "Number of times the link successfully recovered from an error state",
        1,
    ),
    "multicast_rcv_packets": (
        "multicast_packets_received_total",
        "Number of multicast packets received (including errors)",
        1,
    ),
    "multicast_xmit_packets": (
        "multicast_packets_transmitted_total",
        "Number of multicast packets transmitted (including errors)",
        1,
    ),
    "port_rcv_constraint_errors": (
        "port_constraint_errors_received_total",
        "Number of packets received on the switch physical port that are discarded",
        1,
    ),
    "port_xmit_constraint_errors": (
        "port_constraint_errors_transmitted_total",
        "Number of packets not transmitted from the switch physical port",
        1,
    ),
    "port_rcv_data": ("port_data_received_bytes_total", "Number of data octets received on all links", _WORD),
    "port_xmit_data": (
        "port_data_transmitted_bytes_total",
        "Number of data octets transmitted on all links",
        _WORD,
    ),
    "port_xmit_discards": (
        "port_discards_transmitted_total",
        "Number of outbound packets discarded by the port because the port is down or congested",
        1,
    ),
    "port_rcv_errors": (
        "port_errors_received_total",
        "Number of packets containing an error that were received on this port",
        1,
    ),
    "port_rcv_packets": (
        "port_packets_received_total",
        "Number of packets received on all VLs by this port (including errors)",
        1,
    ),
    "port_xmit_packets": (
        "port_packets_transmitted_total",
        "Number of packets transmitted on all VLs from this port (including errors)",
        1,
    ),
    "port_xmit_wait": (
        "port_transmit_wait_total",
        "Number of ticks during which the port had data to transmit but no data was sent during the entire "
        "tick",
        1,
    ),
    "symbol_error": (
        "symbol_error_total",
        "Number of minor link errors detected on one or more physical lanes",
        1,
    ),
    "unicast_rcv_packets": (
        "unicast_packets_received_total",
        "Number of unicast packets received (including errors)",
        1,
    ),
    "unicast_xmit_packets": (
        "unicast_packets_transmitted_total",
        "Number of unicast packets transmitted (including errors)",
        1,
    ),
}
"""File under `counters`: family without `node_infiniband_`, its help, and what a count stands for."""


@register("infiniband")
class Infiniband(Collector):
    """The families of node_exporter, for each port of each device."""

    metrics = (
        Metric(
            "node_infiniband_state_id",
            "gauge",
            "State of the InfiniBand port (0: no change, 1: down, 2: init, 3: armed, 4: active, "
            "5: act defer)",
            _LABELS,
        ),
        Metric(
            "node_infiniband_physical_state_id",
            "gauge",
            "Physical state of the InfiniBand port (0: no change, 1: sleep, 2: polling, 3: disable, "
            "4: shift, 5: link up, 6: link error recover, 7: phytest)",
            _LABELS,
        ),
        Metric("node_infiniband_rate_bytes_per_second", "gauge", "Maximum signal transfer rate", _LABELS),
        *(
            Metric(f"node_infiniband_{name}", "counter", text, _LABELS)
            for name, text, _ in _COUNTERS.values()
        ),
    )

    def collect(self) -> Iterator[Sample]:
        """The samples of each port. Raises NoData on a host without such devices."""
        folder = f"{self.host.sysfs}/class/infiniband"
        for device in _listed(folder):
            for port in _listed(f"{folder}/{device}/ports"):
                labels = labelled(("device", device), ("port", port))
                yield from self._port(f"{folder}/{device}/ports/{port}", labels)

    def _port(self, folder: str, labels: Labels) -> Iterator[Sample]:
        for file, family in (("state", "state_id"), ("phys_state", "physical_state_id")):
            # The file says `4: ACTIVE`.
            number = int(self.host.read(f"{folder}/{file}").partition(b":")[0])
            yield Sample(f"node_infiniband_{family}", labels, float(number))
        # `400 Gb/sec (4X NDR)`, `2.5 Gb/sec (1X SDR)`.
        gigabits = float(self.host.read(f"{folder}/rate").split()[0])
        yield Sample("node_infiniband_rate_bytes_per_second", labels, gigabits * _BYTES_OF_GIGABIT)
        for file, (family, _, factor) in _COUNTERS.items():
            try:
                count = int(self.host.read(f"{folder}/counters/{file}"))
            except (NoData, OSError, ValueError):
                continue  # not every device has every counter; some answer EINVAL or `N/A (no PMA)`
            yield Sample(f"node_infiniband_{family}", labels, float(count * factor))


def _listed(folder: str) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except FileNotFoundError as error:
        raise NoData(f"{folder} is not there") from error
