"""Which series deserve a score."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from detectors.eligible import LEFT_OUT, Kind, kind_of, reason_of

REVIEWED = Path(__file__).with_name("kinds_of_captures.txt")
"""Every metric of the captures but buckets and creation times: kind, type, name, looked over by a person."""

NEVER = [
    ("vllm:e2e_request_latency_seconds_bucket", "histogram"),
    ("vllm:lora_requests_info", "gauge"),
    ("python_info", "gauge"),
    ("vllm:request_success_created", "gauge"),
    ("process_start_time_seconds", "gauge"),
    ("node_boot_time_seconds", "gauge"),
    ("node_time_seconds", "gauge"),
    ("kube_pod_start_time", "gauge"),
    ("kube_pod_created", "gauge"),
    ("kube_job_status_completion_time", "gauge"),
    ("prometheus_config_last_reload_success_timestamp_seconds", "gauge"),
    ("up", "gauge"),
    ("scrape_duration_seconds", "gauge"),
    ("fleetowl_window_series", "gauge"),
    ("fleetowl_anomaly_score", "gauge"),
    ("ALERTS", "gauge"),
    ("DCGM_FI_DEV_XID_ERRORS", "gauge"),
    ("DCGM_EXP_XID_ERRORS_COUNT", "gauge"),
    ("DCGM_FI_DEV_CLOCKS_EVENT_REASONS", "gauge"),
    ("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", "gauge"),
    ("DCGM_FI_DEV_POWER_MGMT_LIMIT", "gauge"),
    ("DCGM_FI_DEV_ENFORCED_POWER_LIMIT", "gauge"),
    ("DCGM_FI_DEV_MAX_SM_CLOCK", "gauge"),
    ("DCGM_FI_DEV_MEM_MAX_OP_TEMP", "gauge"),
    ("DCGM_FI_DEV_SLOWDOWN_TEMP", "gauge"),
    ("DCGM_FI_DEV_PCIE_MAX_LINK_GEN", "gauge"),
    ("DCGM_FI_DEV_PCIE_LINK_WIDTH", "gauge"),
    ("DCGM_FI_DEV_PSTATE", "gauge"),
    ("DCGM_FI_DEV_ROW_REMAP_PENDING", "gauge"),
    ("DCGM_FI_DEV_RETIRED_PENDING", "gauge"),
    ("ray_vllm_engine_sleep_state", "gauge"),
    ("node_memory_MemTotal_bytes", "gauge"),
    ("kube_node_status_condition", "gauge"),
    ("kube_pod_container_resource_limits", "gauge"),
    ("process_max_fds", "gauge"),
    ("", "unknown"),
]
GAUGES = [
    ("node_load1", "gauge"),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge"),
    ("vllm:num_requests_running", "unknown"),
    ("node_info_total_wait", "unknown"),
    ("node_netstat_Tcp_CurrEstab", "untyped"),
    ("node_vmstat_nr_dirty", "untyped"),
    ("DCGM_FI_PROF_SM_ACTIVE", "gauge"),
    ("vllm:kv_cache_usage_perc", "gauge"),
    ("pod_count", "gauge"),
    ("update_seconds", "unknown"),
    ("rpc_duration_seconds", "summary"),
]
COUNTERS = [
    ("vllm:generation_tokens_total", "counter"),
    ("node_cpu_seconds_total", "unknown"),
    ("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "counter"),
    ("vllm:time_to_first_token_seconds_sum", "histogram"),
    ("vllm:time_to_first_token_seconds_count", "counter"),
    ("node_netstat_Tcp_RetransSegs", "untyped"),
    ("node_vmstat_pgmajfault", "untyped"),
    ("node_nf_conntrack_stat_drop", "gauge"),
    ("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "gauge"),
    ("DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", "gauge"),
    ("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "counter"),
    ("DCGM_FI_DEV_THERMAL_VIOLATION", "counter"),
]


@pytest.mark.parametrize(
    ("name", "metric_type", "kind"),
    [(*row, Kind.NEVER) for row in NEVER]
    + [(*row, Kind.GAUGE) for row in GAUGES]
    + [(*row, Kind.COUNTER) for row in COUNTERS],
)
def test_kind(name: str, metric_type: str, kind: Kind) -> None:
    assert kind_of(name, metric_type) is kind


def exposed(folder: Path) -> Iterator[tuple[str, str]]:
    """Name and type of every metric that a capture shows."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".prom", ".txt"):
            text = path.read_text()
            types = dict(re.findall(r"(?m)^# TYPE (\S+) (\S+)$", text))
            for name in dict.fromkeys(re.findall(r"(?m)^([a-zA-Z_:][\w:]*)(?=[{ ].*\d$)", text)):
                family = re.sub(r"_(?:bucket|sum|count|total)$", "", name)
                yield name, types.get(name) or types.get(family, "unknown")


def test_every_metric_of_the_captures_is_what_a_person_said(shared_data: Path) -> None:
    reviewed = {}
    for line in REVIEWED.read_text().splitlines():
        kind, _, name = line.split()
        reviewed[name] = Kind[kind.upper()]
    seen = 0
    for folder in ("vllm", "captures"):
        for name, metric_type in set(exposed(shared_data / folder)):
            plain = name.endswith(("_bucket", "_created"))
            assert kind_of(name, metric_type) is (Kind.NEVER if plain else reviewed[name]), name
            seen += 1
    assert seen > 400


def test_what_is_left_out_has_its_reason_and_nothing_else_has() -> None:
    for name, metric_type in NEVER:
        assert not name or reason_of(name) in LEFT_OUT, (name, metric_type)
    for name, _ in GAUGES + COUNTERS:
        assert reason_of(name) is None


def test_the_page_says_what_is_left_out_and_why() -> None:
    page = (Path(__file__).parents[2] / "docs" / "detection-inputs.md").read_text()
    rows = re.findall(r"(?m)^\| (.+) \| (.+) \|$", page.split("## Counters")[0])
    assert rows[2:] == [(row.what, row.why) for row in LEFT_OUT]
