"""Which series deserve a score, and whether as they are or as a rate.

A score says how far a value deviates. Where a deviation means nothing, there is none: names of things, points
in time, codes and modes, limits that somebody configured. Rules state those by value. What is left out is a
table here, and stands as one in docs/detection-inputs.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum


class Kind(IntEnum):
    """How the samples of a metric are scored."""

    NEVER = 0
    GAUGE = 1  # as they are
    COUNTER = 2  # as rate per second


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Metrics that never reach a detector: what they are, why, and their names as a regular expression."""

    what: str
    why: str
    names: str


LEFT_OUT: tuple[LeftOut, ...] = (
    LeftOut(
        "Fleetowl's own, and what tells of the scrape",
        "They would score the monitor, and scores of scores.",
        r"(?:ray_)?fleetowl_.*|scrape_.*|up|ALERTS|ALERTS_FOR_STATE|promhttp_.*|node_scrape_.*"
        r"|node_textfile_.*",
    ),
    LeftOut("Buckets", "Sum and count of their histogram are scored.", r".*_bucket"),
    LeftOut("Creation times", "A point in time only moves on, or jumps.", r".*_created"),
    LeftOut(
        "Other points in time",
        "A point in time only moves on, or jumps; a change of a start time is a restart.",
        r".*_timestamp(?:_seconds|_ms|_milliseconds)?"
        r"|.*_(?:start|boot|completion|creation|modification|deletion|expiration)_time(?:_seconds|_ms)?"
        r"|.*_last_\w*(?:time|success|failure)_seconds|node_time_seconds|.*_uptime(?:_seconds)?",
    ),
    LeftOut(
        "Info and versions",
        "Always 1, or a number that names something: what they say stands in their labels.",
        r".*_info|.*_version",
    ),
    LeftOut(
        "Codes and bit masks",
        "The distance between two codes means nothing; rules name the codes.",
        r"DCGM_\w*(?:XID_ERRORS?\w*|_REASONS|_STATUS|_MODE|_STATE|_PSTATE)"
        r"|node_network_(?:flags|device_id|iface_id|iface_link|iface_link_mode|address_assign_type"
        r"|name_assign_type|net_dev_group|protocol_type)|node_timex_(?:status|loop_time_constant)",
    ),
    LeftOut(
        "States and conditions, 0 or 1 each",
        "A state is right or wrong, not unusual; rules state which.",
        r"vllm:engine_sleep_state|ray_vllm_engine_sleep_state"
        r"|DCGM_\w*(?:_PENDING|_REMAP_FAILURE)|node_filesystem_(?:readonly|device_error)"
        r"|node_network_(?:up|carrier|dormant)|node_timex_sync_status|node_selinux_.*"
        r"|.*_(?:state|status|mode|phase|condition|ready|enabled|healthy|success|online)",
    ),
    LeftOut(
        "Limits and configuration",
        "Constant until somebody changes it, and then as it was meant.",
        r"DCGM_\w*(?:_LIMIT|_MAX_\w+|_(?:SLOWDOWN|SHUTDOWN)_TEMP|_MAX_OP_TEMP|_FB_TOTAL|_LINK_(?:WIDTH|GEN))"
        r"|process_(?:max_fds|virtual_memory_max_bytes)|node_entropy_pool_size_bits|node_filefd_maximum"
        r"|node_filesystem_(?:size_bytes|files)|node_memory_(?:MemTotal|SwapTotal|CommitLimit|VmallocTotal"
        r"|HugePages_Total|Hugepagesize|CmaTotal)(?:_bytes)?|node_network_(?:mtu_bytes|speed_bytes"
        r"|transmit_queue_length)|node_netstat_Ip6?_Forwarding|node_nf_conntrack_entries_limit|node_time_zone_offset_seconds"
        r"|node_timex_(?:tai_offset|tick)_seconds|node_cpu_(?:scaling_)?frequency_(?:max|min)_hertz"
        r"|node_memory_DirectMap\w+|.*_(?:limit|max|maximum|capacity|quota|threshold)"
        r"|.*_(?:limit|max|capacity|quota|threshold)_(?:bytes|seconds|cores|celsius|watts|hertz|ratio)"
        r"|kube_\w+_(?:requests|limits|spec_\w+)",
    ),
    LeftOut(
        "A runtime's housekeeping",
        "How often a collector runs says nothing about the service; its memory is scored.",
        r"python_gc_.*|go_gc_.*|go_memstats_(?:next_gc_bytes|gc_sys_bytes|lookups_total|mspan_\w+|mcache_\w+"
        r"|buck_hash_\w+|other_sys_bytes)",
    ),
    LeftOut(
        "Residue of the network stack and the clock",
        "Always 0 where nothing uses it: packet kinds that are gone, a pulse of a reference clock.",
        r"node_timex_pps_.*|node_network_(?:receive|transmit)_compressed_total"
        r"|node_netstat_(?:UdpLite6?)_\w+|node_sockstat_\w*(?:UDPLITE|FRAG|RAW)\w*",
    ),
)
"""Names are matched whole, in this order."""

_NEVER = re.compile("|".join(row.names for row in LEFT_OUT))
_COUNTER = re.compile(r".*_(?:total|count|sum)")
# Counted since boot, though they come untyped (node_netstat, node_vmstat) or as gauges (conntrack, DCGM where
# somebody made them so); (?!...) are the few among them that are not.
_COUNTED = re.compile(
    r"node_netstat_(?!Tcp_CurrEstab$)\w+|node_vmstat_(?!nr_)\w+|node_nf_conntrack_stat_\w+"
    r"|DCGM_\w+(?:_VIOLATION|_COUNT_TOTAL|_VOL_TOTAL|_AGG_TOTAL|_REPLAY_COUNTER|_REMAPPED_ROWS"
    r"|_ENERGY_CONSUMPTION|_RETIRED_(?:SBE|DBE))"
)


def kind_of(name: str, metric_type: str) -> Kind:
    """How to score a metric of this name and type (as after `# TYPE`).

    >>> kind_of("node_load1", "gauge"), kind_of("vllm:generation_tokens_total", "counter")
    (<Kind.GAUGE: 1>, <Kind.COUNTER: 2>)
    >>> kind_of("process_start_time_seconds", "gauge")
    <Kind.NEVER: 0>
    """
    if not name or _NEVER.fullmatch(name):
        return Kind.NEVER
    if metric_type == "counter" or _COUNTED.fullmatch(name):
        return Kind.COUNTER
    # Sum and count of histograms and summaries are counters; without a type the suffix has to tell.
    if metric_type != "gauge" and _COUNTER.fullmatch(name):
        return Kind.COUNTER
    return Kind.GAUGE


def reason_of(name: str) -> LeftOut | None:
    """Why a metric never reaches a detector; None where it does.

    >>> reason_of("DCGM_FI_DEV_XID_ERRORS").what
    'Codes and bit masks'
    """
    for row in LEFT_OUT:
        if re.fullmatch(row.names, name):
            return row
    return None
