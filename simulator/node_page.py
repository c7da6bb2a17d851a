"""A few node_exporter families of a host: memory, load, CPU, network, inlet temperature."""

from __future__ import annotations

from simulator.node import Node
from simulator.page import Page, go_number, series


class NodePage:
    """Renders the page of one host."""

    def __init__(self, node: Node) -> None:
        page = self._page = Page(go_number)
        for name, kind, help_text, read in (
            ("node_boot_time_seconds", "gauge", "Node boot time, in unixtime.", lambda: node.booted // 1000),
            ("node_load1", "gauge", "1m load average.", lambda: round(192 * node.cpu_busy, 2)),
            (
                "node_memory_MemTotal_bytes",
                "gauge",
                "Memory information field MemTotal_bytes.",
                lambda: node.memory_total,
            ),
            (
                "node_memory_MemAvailable_bytes",
                "gauge",
                "Memory information field MemAvailable_bytes.",
                lambda: node.memory_available,
            ),
        ):
            page.header(name, kind, help_text)
            page.sample(series(name, ()), read)
        self._labelled(node)

    def _labelled(self, node: Node) -> None:
        page = self._page
        name = "node_cpu_seconds_total"
        page.header(name, "counter", "Seconds the CPUs spent in each mode.")
        page.samples(
            [series(name, [("cpu", "0"), ("mode", mode)]) for mode in ("idle", "user")],
            lambda: (node.cpu_seconds * (1 - node.cpu_busy), node.cpu_seconds * node.cpu_busy),
        )
        name = "node_hwmon_temp_celsius"
        page.header(name, "gauge", "Hardware monitor for temperature (input)")
        page.sample(series(name, [("chip", "inlet"), ("sensor", "temp1")]), lambda: node.rack.inlet)
        name = "node_network_receive_bytes_total"
        page.header(name, "counter", "Network device statistic receive_bytes.")
        page.sample(series(name, [("device", "eth0")]), lambda: node.received)

    def render(self) -> bytes:
        """The page with the values of now."""
        return self._page.render()
