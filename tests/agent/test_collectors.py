"""The host collectors: node_exporter's names, types, labels and units, and quiet where there is nothing."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from agent.host import Host, NoData
from agent.registry import Collector, Round, discover
from model.metric import Sample

Flat = Callable[[Iterable[Sample]], dict[str, float]]


def _make(name: str, host: Host) -> Collector:
    return discover()[name](host)


def test_loadavg(host: Host, flat: Flat) -> None:
    assert flat(_make("loadavg", host).collect()) == {
        "node_load1": 0.5,
        "node_load5": 1.25,
        "node_load15": 2.0,
    }


def test_cpu_seconds_per_mode_and_guest(host: Host, flat: Flat) -> None:
    samples = flat(_make("cpu", host).collect())
    assert samples["node_cpu_seconds_total{cpu=1,mode=user}"] == 2.0
    assert samples["node_cpu_seconds_total{cpu=0,mode=steal}"] == 0.01
    assert samples["node_cpu_guest_seconds_total{cpu=0,mode=user}"] == 0.1
    assert not any("cpu=}" in name or "{mode" in name for name in samples), "the sum line is no CPU"


def test_cpu_idle_does_not_run_back(host: Host, flat: Flat) -> None:
    collector = _make("cpu", host)
    list(collector.collect())
    stat = Path(host.procfs) / "stat"
    stat.write_text("cpu0 100 10 50 4499 20 0 3 1 0 0\n")
    host.begin_round()
    assert flat(collector.collect())["node_cpu_seconds_total{cpu=0,mode=idle}"] == 45.0
    stat.write_text("cpu0 0 0 0 10 0 0 0 0 0 0\n")  # taken out and put back: it starts anew
    host.begin_round()
    assert flat(collector.collect())["node_cpu_seconds_total{cpu=0,mode=idle}"] == 0.1


def test_stat(host: Host, flat: Flat) -> None:
    assert flat(_make("stat", host).collect()) == {
        "node_intr_total": 123456.0,
        "node_context_switches_total": 777.0,
        "node_boot_time_seconds": 1.7e9,
        "node_forks_total": 4242.0,
        "node_procs_running": 3.0,
        "node_procs_blocked": 1.0,
    }


def test_meminfo_bytes_and_counts(host: Host, flat: Flat) -> None:
    assert flat(_make("meminfo", host).collect()) == {
        "node_memory_MemTotal_bytes": 16000.0 * 1024,
        "node_memory_MemAvailable_bytes": 8000.0 * 1024,
        "node_memory_Active_anon_bytes": 100.0 * 1024,
        "node_memory_HugePages_Total": 4.0,
    }


def test_vmstat_has_node_exporters_default_fields(host: Host, flat: Flat) -> None:
    names = {"pgpgin", "pgpgout", "pswpin", "pswpout", "pgfault", "pgmajfault", "oom_kill"}
    assert set(flat(_make("vmstat", host).collect())) == {f"node_vmstat_{name}" for name in names}


def test_pressure_in_seconds(host: Host, flat: Flat) -> None:
    assert flat(_make("pressure", host).collect()) == {
        "node_pressure_cpu_waiting_seconds_total": 1.5,
        "node_pressure_io_waiting_seconds_total": 2.0,
        "node_pressure_io_stalled_seconds_total": 0.5,
        "node_pressure_memory_waiting_seconds_total": 3.0,
        "node_pressure_memory_stalled_seconds_total": 0.25,
    }


@pytest.mark.parametrize("code", [errno.EOPNOTSUPP, errno.ENOSYS])
def test_pressure_switched_off_is_no_data(host: Host, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, "off")

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(NoData, match="pressure stall information"):
        list(_make("pressure", host).collect())


def test_diskstats_of_whole_disks_in_seconds_and_bytes(host: Host, flat: Flat) -> None:
    samples = flat(_make("diskstats", host).collect())
    assert {name.partition("{")[2] for name in samples} == {"device=nvme0n1}"}
    assert samples["node_disk_read_bytes_total{device=nvme0n1}"] == 8 * 512
    assert samples["node_disk_write_time_seconds_total{device=nvme0n1}"] == 6.0
    assert samples["node_disk_io_now{device=nvme0n1}"] == 1.0
    assert samples["node_disk_flush_requests_time_seconds_total{device=nvme0n1}"] == 0.9


def test_diskstats_of_an_old_kernel(host: Host, flat: Flat) -> None:
    (Path(host.procfs) / "diskstats").write_text("8 0 sda 10 2 8 4000 20 3 16 6000 1 9000 11000\n")
    samples = flat(_make("diskstats", host).collect())
    assert len(samples) == 11
    assert "node_disk_discards_completed_total{device=sda}" not in samples


def test_netdev(host: Host, flat: Flat) -> None:
    samples = flat(_make("netdev", host).collect())
    assert samples["node_network_receive_bytes_total{device=eth0}"] == 1000.0
    assert samples["node_network_receive_drop_total{device=eth0}"] == 2.0
    assert samples["node_network_transmit_packets_total{device=eth0}"] == 20.0
    assert samples["node_network_transmit_errs_total{device=eth0}"] == 3.0
    assert samples["node_network_transmit_bytes_total{device=eth0:1}"] == 7.0


def test_netdev_shows_the_hosts_interfaces_inside_a_container(host: Host, flat: Flat) -> None:
    theirs = Path(host.procfs) / "1/net"
    theirs.mkdir(parents=True, exist_ok=True)
    (theirs / "dev").write_text("h\nh\n ib0: 5 6 0 0 0 0 0 0 7 8 0 0 0 0 0 0\n")
    assert {name.partition("{")[2] for name in flat(_make("netdev", host).collect())} == {"device=ib0}"}


def test_netclass_leaves_out_an_unknown_speed(host: Host, flat: Flat) -> None:
    assert flat(_make("netclass", host).collect()) == {
        "node_network_up{device=eth0}": 1.0,
        "node_network_speed_bytes{device=eth0}": 12.5e9,
        "node_network_up{device=veth1}": 0.0,
    }


def test_uname_and_time(host: Host, flat: Flat) -> None:
    (sample,) = _make("uname", host).collect()
    assert sample.name == "node_uname_info"
    assert sample.labels["nodename"] == "gpu-7"
    assert sample.labels["domainname"] == "(none)"
    assert flat(_make("time", host).collect()) == {"node_time_seconds": 1e9}


def test_a_file_is_read_once_a_round(host: Host) -> None:
    list(_make("cpu", host).collect())
    (Path(host.procfs) / "stat").write_text("cpu0 0 0 0 0 0 0 0 0 0 0\nctxt 1\n")
    assert {sample.name: sample.value for sample in _make("stat", host).collect()}[
        "node_context_switches_total"
    ] == 777.0, "the second collector sees what the first one read"


def test_an_empty_procfs_is_healthy(tmp_path: Path) -> None:
    bare = Host("bare", tmp_path / "proc", tmp_path / "sys")
    tour = Round(bare, [cls(bare) for name, cls in discover().items()])
    tour.collect()
    assert {name for name, outcome in tour.outcomes.items() if outcome.state == "ok"} == {"time", "timex"}
    assert all(outcome.healthy for outcome in tour.outcomes.values())
    assert "is not there" in tour.outcomes["meminfo"].reason


def test_families_are_node_exporters(shared_data: Path) -> None:
    """What the agent exports on this very host and node_exporter too: same type, same label names."""
    types, labels = _families(shared_data / "captures" / "node_exporter-1.5-debian12.prom")
    real = Host("here")
    tour = Round(real, [cls(real) for cls in discover().values()])
    samples = [sample for sample in tour.collect() if sample.name in types]
    declared = {metric.name: metric.type for metric in tour.metrics()}
    shared = {sample.name for sample in samples}
    assert len(shared) > 90
    for sample in samples:
        assert {"unknown": "untyped"}.get(declared[sample.name], declared[sample.name]) == types[sample.name]
        assert tuple(sorted(sample.labels)) in labels[sample.name], sample


def test_only_declared_families_come_out(host: Host) -> None:
    tour = Round(host, [cls(host) for cls in discover().values()])
    seen = {sample.name for sample in tour.collect()}
    assert seen <= {metric.name for metric in tour.metrics()}


def _families(page: Path) -> tuple[dict[str, str], dict[str, set[tuple[str, ...]]]]:
    types: dict[str, str] = {}
    labels: dict[str, set[tuple[str, ...]]] = {}
    for line in page.read_text().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            types[name] = kind
        elif line and not line.startswith("#"):
            name, _, rest = line.rpartition(" ")[0].partition("{")
            pairs = [part.partition("=")[0] for part in rest.rstrip("}").split('",') if part]
            labels.setdefault(name, set()).add(tuple(sorted(pair for pair in pairs if pair)))
    return types, labels
