"""Protocol counters of the network stack: retransmissions, resets, overflows."""

from __future__ import annotations

import re
from collections.abc import Iterator

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
        self._columns: dict[bytes, list[tuple[int, Metric]]] = {}  # by the line of names, which stays

    def collect(self) -> Iterator[Sample]:
        """One sample a wanted field; a kernel without IPv6 has no snmp6."""
        for name in ("net/netstat", "net/snmp"):
            yield from self._table(self.host.proc(name))
        try:
            six = self.host.proc("net/snmp6")
        except NoData:
            return
        for protocol, field, value in _SIX.findall(six):
            metric = self._family((protocol, field))
            if metric is not None:
                yield Sample(metric.name, labelled(), float(value))

    def _table(self, text: bytes) -> Iterator[Sample]:
        """A line of names, then one of values, for each protocol."""
        lines = text.splitlines()
        for names, values in zip(lines[::2], lines[1::2], strict=False):
            wanted = self._columns.get(names)
            if wanted is None:
                wanted = self._columns[names] = self._wanted(names)
            numbers = values.split()
            if numbers[:1] != [names.partition(b" ")[0]]:
                protocol = names.partition(b":")[0].decode()
                raise ValueError(f"the values of {protocol} do not follow its names")
            for column, metric in wanted:
                if column < len(numbers):
                    yield Sample(metric.name, labelled(), float(numbers[column]))

    def _wanted(self, names: bytes) -> list[tuple[int, Metric]]:
        protocol, *fields = names.split()
        found = [self._family((protocol.removesuffix(b":"), field)) for field in fields]
        return [(column, metric) for column, metric in enumerate(found, start=1) if metric is not None]

    def _family(self, key: tuple[bytes, bytes]) -> Metric | None:
        return self._families[key] if key in self._families else self._meet(key)

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
