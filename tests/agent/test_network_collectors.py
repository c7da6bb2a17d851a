"""Protocol counters, the clock's discipline and InfiniBand: node_exporter's names and units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agent.collectors.infiniband import Infiniband
from agent.collectors.netstat import Netstat
from agent.collectors.timex import Timex, TimexCollector
from agent.host import Host, NoData
from agent.registry import discover
from model.metric import Sample
from tests.agent.conftest import write_tree

Flat = Callable[[Iterable[Sample]], dict[str, float]]

NETSTAT = "TcpExt: SyncookiesSent ListenDrops PruneCalled\nTcpExt: 1 2 3\nIpExt: InOctets\nIpExt: 44\n"
SNMP = "Tcp: ActiveOpens OutSegs RetransSegs MaxConn\nTcp: 5 600 7 -1\nUdp: NoPorts\nUdp: 8\n"
SNMP6 = "Ip6InOctets                     \t9\nIp6InReceives\t1\nUdpLite6InErrors\t2\n"
PORT = {
    "state": "4: ACTIVE\n",
    "phys_state": "5: LinkUp\n",
    "rate": "400 Gb/sec (4X NDR)\n",
    "counters/port_rcv_data": "1000\n",
    "counters/link_downed": "2\n",
    "counters/symbol_error": "N/A (no PMA)\n",
}


def _tree(host: Host, files: dict[str, str]) -> Host:
    write_tree(Path(host.procfs), files)
    return host


def test_netstat_has_node_exporters_default_fields(host: Host, flat: Flat) -> None:
    files = {"net/netstat": NETSTAT, "net/snmp": SNMP, "net/snmp6": SNMP6}
    assert flat(Netstat(_tree(host, files)).collect()) == {
        "node_netstat_TcpExt_SyncookiesSent": 1.0,
        "node_netstat_TcpExt_ListenDrops": 2.0,
        "node_netstat_IpExt_InOctets": 44.0,
        "node_netstat_Tcp_ActiveOpens": 5.0,
        "node_netstat_Tcp_OutSegs": 600.0,
        "node_netstat_Tcp_RetransSegs": 7.0,
        "node_netstat_Udp_NoPorts": 8.0,
        "node_netstat_Ip6_InOctets": 9.0,
        "node_netstat_UdpLite6_InErrors": 2.0,
    }


def test_netstat_reads_the_fields_anew_each_time(host: Host, flat: Flat) -> None:
    collector = Netstat(_tree(host, {"net/netstat": NETSTAT, "net/snmp": SNMP}))
    before = flat(collector.collect())
    host.begin_round()
    again = {"net/netstat": NETSTAT.replace("1 2 3", "11 12")}
    again["net/snmp"] = SNMP.replace("OutSegs RetransSegs", "RetransSegs OutSegs")
    _tree(host, again)
    assert flat(collector.collect()) == {
        **before,
        "node_netstat_TcpExt_SyncookiesSent": 11.0,
        "node_netstat_TcpExt_ListenDrops": 12.0,
        "node_netstat_Tcp_RetransSegs": 600.0,
        "node_netstat_Tcp_OutSegs": 7.0,
    }


def test_netstat_without_ipv6(host: Host, flat: Flat) -> None:
    collector = Netstat(_tree(host, {"net/netstat": NETSTAT, "net/snmp": SNMP}))
    assert len(flat(collector.collect())) == 7
    assert {metric.type for metric in collector.metrics} == {"unknown"}


def test_netstat_refuses_a_file_of_another_form(host: Host) -> None:
    with pytest.raises(ValueError, match="TcpExt"):
        list(Netstat(_tree(host, {"net/netstat": "TcpExt: A\nIpExt: 1\n", "net/snmp": SNMP})).collect())


def _clock(**fields: int) -> Timex:
    clock = Timex()
    for name, value in fields.items():
        setattr(clock, name, value)
    return clock


def test_timex_in_seconds(host: Host, flat: Flat) -> None:
    clock = _clock(
        offset=1_500_000, freq=-65_536_000, maxerror=250_000, esterror=9, status=0x2001, constant=7,
        tick=10_000, tai=37,
    )  # fmt: skip
    samples = flat(TimexCollector(host, lambda: (0, clock)).collect())
    assert samples == {
        "node_timex_offset_seconds": pytest.approx(0.0015),
        "node_timex_frequency_adjustment_ratio": pytest.approx(0.999),
        "node_timex_maxerror_seconds": pytest.approx(0.25),
        "node_timex_estimated_error_seconds": pytest.approx(9e-6),
        "node_timex_status": 0x2001,
        "node_timex_loop_time_constant": 7.0,
        "node_timex_tick_seconds": pytest.approx(0.01),
        "node_timex_tai_offset_seconds": 37.0,
        "node_timex_sync_status": 1.0,
    }


def test_timex_in_microseconds_and_unsynchronised(host: Host, flat: Flat) -> None:
    samples = flat(TimexCollector(host, lambda: (5, _clock(offset=1_500_000))).collect())
    assert samples["node_timex_offset_seconds"] == pytest.approx(1.5)
    assert samples["node_timex_sync_status"] == 0.0


def test_infiniband_ports(host: Host, flat: Flat) -> None:
    root = Path(host.sysfs) / "class/infiniband"
    write_tree(root / "mlx5_0/ports/1", PORT)
    write_tree(root / "mlx5_1/ports/1", {**PORT, "state": "1: DOWN\n", "rate": "2.5 Gb/sec (1X SDR)\n"})
    samples = flat(Infiniband(host).collect())
    first = "{device=mlx5_0,port=1}"
    assert samples[f"node_infiniband_state_id{first}"] == 4.0
    assert samples[f"node_infiniband_physical_state_id{first}"] == 5.0
    assert samples[f"node_infiniband_rate_bytes_per_second{first}"] == 50e9
    assert samples[f"node_infiniband_port_data_received_bytes_total{first}"] == 4000.0
    assert samples[f"node_infiniband_link_downed_total{first}"] == 2.0
    assert f"node_infiniband_symbol_error_total{first}" not in samples
    assert samples["node_infiniband_rate_bytes_per_second{device=mlx5_1,port=1}"] == 312_500_000.0


def test_a_host_without_infiniband_is_fine(host: Host) -> None:
    with pytest.raises(NoData):
        list(Infiniband(host).collect())


def test_they_are_registered() -> None:
    assert {"netstat", "timex", "infiniband"} <= discover().keys()
