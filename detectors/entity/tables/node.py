"""Features of a host: node_exporter's names, which Fleetowl's agent has too.

Sizes that are configured (memory, cores, file systems) are no features: a host is compared with itself.
"""

from __future__ import annotations

from detectors.entity.feature import Feature, Part, plain

_CPU = "node_cpu_seconds_total"
_REAL = (("!device", "lo|veth.*|cali.*|cni.*|flannel.*|docker.*|br-.*|lxc.*|tunl.*|kube-.*|nodelocaldns"),)
"""Interfaces that are not counted twice: those of containers are part of the host's."""
_DISKS = (("!device", "loop.*|ram.*|dm-.*|md.*|sr.*"),)
_LOCAL = (("!fstype", "tmpfs|ramfs|overlay|squashfs|nsfs|proc|devtmpfs|nfs.*|fuse.*|cifs|iso9660"),)


def _network(name: str, why: str, *metrics: str) -> Feature:
    return Feature(name, why, tuple(Part(metric, "sum", _REAL) for metric in metrics))


NODE = (
    Feature(
        "node_cpu_busy_share",
        "Work of the host: data loaders, tokenizers, a runaway process.",
        (Part(_CPU, "mean", (("mode", "idle"),)),),
        rest=True,
    ),
    Feature(
        "node_cpu_system_share",
        "Time in the kernel: interrupts, reclaim, a driver that spins.",
        (Part(_CPU, "mean", (("mode", "system"),)),),
    ),
    Feature(
        "node_cpu_iowait_share",
        "Waiting for disks: a slow drive, a checkpoint, a lost mount.",
        (Part(_CPU, "mean", (("mode", "iowait"),)),),
    ),
    plain("node_load1", "Tasks that want to run or hang in the kernel."),
    plain("node_procs_running", "Tasks that want to run at this moment."),
    plain("node_procs_blocked", "Tasks that hang in the kernel: storage or a driver."),
    plain(
        "node_memory_MemAvailable_bytes", "Memory that is left: leaks, and what comes before the OOM killer."
    ),
    plain("node_memory_Dirty_bytes", "Writes that pile up before a slow disk."),
    plain("node_memory_SUnreclaim_bytes", "Memory of the kernel itself: a leak in a driver."),
    plain("node_memory_SwapFree_bytes", "Swapping."),
    plain("node_vmstat_pgmajfault", "Pages read back from disk: memory is short."),
    Feature(
        "node_disk_io_time_seconds_total",
        "Share of time in which the busiest disk works.",
        (Part("node_disk_io_time_seconds_total", "max", _DISKS),),
    ),
    Feature(
        "node_disk_bytes",
        "Bytes read and written a second.",
        (
            Part("node_disk_read_bytes_total", "sum", _DISKS),
            Part("node_disk_written_bytes_total", "sum", _DISKS),
        ),
    ),
    Feature(
        "node_disk_seconds_per_operation",
        "How long a disk takes for one operation: a dying drive shows here first.",
        (
            Part("node_disk_read_time_seconds_total", "sum", _DISKS),
            Part("node_disk_write_time_seconds_total", "sum", _DISKS),
        ),
        (
            Part("node_disk_reads_completed_total", "sum", _DISKS),
            Part("node_disk_writes_completed_total", "sum", _DISKS),
        ),
    ),
    Feature(
        "node_filesystem_avail_bytes",
        "What is left on the fullest local file system.",
        (Part("node_filesystem_avail_bytes", "min", _LOCAL),),
    ),
    _network("node_network_receive_bytes_total", "Traffic in.", "node_network_receive_bytes_total"),
    _network("node_network_transmit_bytes_total", "Traffic out.", "node_network_transmit_bytes_total"),
    _network(
        "node_network_faults",
        "Packets lost or broken: a cable, a ring that is too small.",
        "node_network_receive_errs_total",
        "node_network_transmit_errs_total",
        "node_network_receive_drop_total",
        "node_network_transmit_drop_total",
    ),
    Feature(
        "node_infiniband_bytes",
        "Traffic between nodes over InfiniBand or RoCE.",
        (
            Part("node_infiniband_port_data_received_bytes_total", "sum"),
            Part("node_infiniband_port_data_transmitted_bytes_total", "sum"),
        ),
    ),
    Feature(
        "node_netstat_Tcp_retransmitted_share",
        "Segments sent again: loss somewhere on the way.",
        (Part("node_netstat_Tcp_RetransSegs"),),
        (Part("node_netstat_Tcp_OutSegs"),),
    ),
    plain("node_netstat_Tcp_CurrEstab", "Open connections: a pile-up of clients, or none any more."),
    plain("node_pressure_cpu_waiting_seconds_total", "Share of time in which somebody waits for a core."),
    plain("node_pressure_memory_waiting_seconds_total", "Share of time in which somebody waits for memory."),
    plain("node_pressure_io_waiting_seconds_total", "Share of time in which somebody waits for a disk."),
    plain("node_context_switches_total", "Switches a second: contention, interrupts."),
    plain("node_forks_total", "Processes started a second: a crash loop, a script that runs wild."),
    plain("node_filefd_allocated", "Open files: a leak of sockets."),
    Feature(
        "node_hwmon_temp_celsius",
        "The hottest sensor: the air of the room, a fan of the chassis.",
        (Part("node_hwmon_temp_celsius", "max"),),
    ),
)
