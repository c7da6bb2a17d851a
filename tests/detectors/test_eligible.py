"""Which series deserve a score."""

from __future__ import annotations

import pytest

from detectors.eligible import Kind, kind_of

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
    ("", "unknown"),
]
GAUGES = [
    ("node_load1", "gauge"),
    ("DCGM_FI_DEV_GPU_TEMP", "gauge"),
    ("vllm:num_requests_running", "unknown"),
    ("node_info_total_wait", "unknown"),
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
]


@pytest.mark.parametrize(
    ("name", "metric_type", "kind"),
    [(*row, Kind.NEVER) for row in NEVER]
    + [(*row, Kind.GAUGE) for row in GAUGES]
    + [(*row, Kind.COUNTER) for row in COUNTERS],
)
def test_kind(name: str, metric_type: str, kind: Kind) -> None:
    assert kind_of(name, metric_type) is kind
