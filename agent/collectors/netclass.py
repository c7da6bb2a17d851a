"""Speed and state of network interfaces, from sysfs."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agent.host import NoData, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_BYTES_OF_MEGABIT = 125_000


@register("netclass")
class Netclass(Collector):
    """Link state and speed of each interface."""

    metrics = (
        Metric("node_network_up", "gauge", "Value is 1 if operstate is 'up', 0 otherwise.", ("device",)),
        Metric("node_network_speed_bytes", "gauge", "Network device property: speed_bytes", ("device",)),
    )

    def collect(self) -> Iterator[Sample]:
        """One or two samples an interface; an unknown speed is left out. Raises NoData without sysfs."""
        folder = f"{self.host.sysfs}/class/net"
        try:
            devices = sorted(os.listdir(folder))
        except FileNotFoundError as error:
            raise NoData(f"{folder} is not there") from error
        for device in devices:
            labels = labelled(("device", device))
            try:
                up = self.host.read(f"{folder}/{device}/operstate").strip() == b"up"
            except NoData:
                continue  # bonding_masters and its like lie there too
            yield Sample("node_network_up", labels, float(up))
            speed = self._megabits(f"{folder}/{device}/speed")
            if speed is not None:
                yield Sample("node_network_speed_bytes", labels, float(speed * _BYTES_OF_MEGABIT))

    def _megabits(self, path: str) -> int | None:
        """None where the driver does not know (virtual interfaces answer EINVAL or -1)."""
        try:
            speed = int(self.host.read(path))
        except (NoData, OSError, ValueError):
            return None
        return speed if speed >= 0 else None
