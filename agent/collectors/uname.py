"""What kernel this is, from /proc/sys/kernel."""

from __future__ import annotations

import os
from collections.abc import Iterator

from agent.host import NoData, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

_FILES = {
    "sysname": "ostype",
    "release": "osrelease",
    "version": "version",
    "nodename": "hostname",
    "domainname": "domainname",
}


@register("uname")
class Uname(Collector):
    """The uname system call's answer as labels."""

    metrics = (
        Metric(
            "node_uname_info",
            "gauge",
            "Labeled system information as provided by the uname system call.",
            ("domainname", "machine", "nodename", "release", "sysname", "version"),
        ),
    )

    def collect(self) -> Iterator[Sample]:
        """One sample of value 1."""
        pairs = [(label, self._read(file)) for label, file in _FILES.items()]
        yield Sample("node_uname_info", labelled(("machine", os.uname().machine), *pairs), 1.0)

    def _read(self, file: str) -> str:
        try:
            return self.host.proc(f"sys/kernel/{file}").decode(errors="replace").strip()
        except NoData:
            if file == "domainname":
                return ""
            raise
