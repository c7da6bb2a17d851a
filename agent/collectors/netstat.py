"""Protocol counters of the network stack: retransmissions, resets, overflows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from agent.host import Host, NoData, labelled
from agent.registry import Collector, register
from model.metric import Metric, Sample

# The fields that node_exporter 1.5 exports by default.
_WANTED = re.compile(
    r".*_(InErrors|InErrs)|Ip_Forwarding|Ip(6|Ext)_(InOctets|OutOctets)|Icmp6?_(InMsgs|OutMsgs)"
    r"|TcpExt_(Listen.*|Syncookies.*|TCPSynRetrans|TCPTimeouts)"
    r"|Tcp_(ActiveOpens|InSegs|OutSegs|OutRsts|PassiveOpens|RetransSegs|CurrEstab)"
    r"|Udp6?_(InDatagrams|OutDatagrams|NoPorts|RcvbufErrors|SndbufErrors)"
)
_SIX = re.compile(rb"^([A-Za-z]+6)(\w+)\s+(-?\d+)$", re.MULTILINE)


@register("netstat")
class Netstat(Collector):
    """`node_netstat_<protocol>_<field>`, untyped as node_exporter leaves them."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._families: dict[tuple[bytes, bytes], Metric | None] = {}

    def collect(self) -> Iterator[Sample]:
        """One sample a wanted field; a kernel without IPv6 has no snmp6."""
        for name in ("net/netstat", "net/snmp"):
            yield from self._samples(_pairs(self.host.proc(name)))
        try:
            yield from self._samples(_SIX.findall(self.host.proc("net/snmp6")))
        except NoData:
            return

    def _samples(self, fields: Iterable[tuple[bytes, bytes, bytes]]) -> Iterator[Sample]:
        for protocol, field, value in fields:
            key = (protocol, field)
            metric = self._families[key] if key in self._families else self._meet(key)
            if metric is not None:
                yield Sample(metric.name, labelled(), float(value))

    def _meet(self, key: tuple[bytes, bytes]) -> Metric | None:
        protocol, field = key[0].decode(), key[1].decode()
        wanted = _WANTED.fullmatch(f"{protocol}_{field}") is not None
        self._families[key] = metric = (
            Metric(f"node_netstat_{protocol}_{field}", "unknown", f"Statistic {protocol}{field}.")
            if wanted
            else None
        )
        self.metrics = tuple(family for family in self._families.values() if family is not None)
        return metric


def _pairs(text: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Protocol, field and value: the file has a line of names, then one of values, for each protocol."""
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        protocol, _, fields = names.partition(b":")
        if not values.startswith(protocol + b":"):
            raise ValueError(f"the values of {protocol.decode()} do not follow its names")
        numbers = values.partition(b":")[2].split()
        for field, value in zip(fields.split(), numbers, strict=False):
            yield protocol, field, value
