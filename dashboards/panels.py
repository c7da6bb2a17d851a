"""What the dashboard shows: rows of panels as data, each with its unit, its meaning and its queries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression and the legend of its series."""

    expr: str
    legend: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel; `width` is in Grafana's 24 columns."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 8
    kind: Literal["timeseries", "stat"] = "timeseries"
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


_GPU = '{Hostname=~"$node"}'
_ENGINE = '{model_name=~"$model"}'
_HOST = 'node=~"$node"'
_PER_ENGINE = "{{instance}} engine {{engine}}"


def _quantiles(metric: str) -> tuple[Query, ...]:
    def query(share: str, name: str) -> Query:
        rate = f"rate({metric}_bucket{_ENGINE}[$__rate_interval])"
        return Query(
            f"histogram_quantile({share}, sum by (le, model_name) ({rate}))", f"{name} {{{{model_name}}}}"
        )

    return (query("0.5", "p50"), query("0.99", "p99"))


STATE = Row(
    "State",
    (
        Panel(
            "Firing alerts",
            "Alerts that Fleetowl's rules hold as firing, by tier. P0 is a disaster, P3 can wait for Monday.",
            "short",
            (Query('sum by (tier) (fleetowl_rule_alerts{state="firing"})', "{{tier}}"),),
            6,
            "stat",
        ),
        Panel(
            "Open incidents",
            "Incidents that nobody has closed, by the tier of their most urgent alert.",
            "short",
            (Query("sum by (tier) (fleetowl_incidents_open)", "{{tier}}"),),
            6,
            "stat",
        ),
        Panel(
            "Targets down",
            "Targets whose last scrape or push failed or is overdue.",
            "short",
            (Query("count(up == 0) or vector(0)", "down"),),
            4,
            "stat",
        ),
        Panel(
            "GPUs reporting",
            "GPUs with a temperature now. A GPU that falls off the bus leaves this count.",
            "short",
            (Query(f"count(DCGM_FI_DEV_GPU_TEMP{_GPU})", "GPUs"),),
            4,
            "stat",
        ),
        Panel(
            "Nodes cordoned",
            "Nodes that take no new pods, whoever cordoned them (from kube-state-metrics).",
            "short",
            (Query("sum(kube_node_spec_unschedulable)", "cordoned"),),
            4,
            "stat",
        ),
        Panel(
            "Alerts over time",
            "Firing alerts by name, as recorded by the rules of Fleetowl or of Prometheus.",
            "short",
            (
                Query(
                    'sum by (alertname, tier) (ALERTS{alertstate="firing"})',
                    "{{alertname}} {{tier}}",
                ),
            ),
            24,
        ),
    ),
)

GPUS = Row(
    "GPUs",
    (
        Panel(
            "Utilization",
            "Share of time in which a kernel ran. It says busy, not useful: a stuck kernel is 100 % too.",
            "percent",
            (Query(f"DCGM_FI_DEV_GPU_UTIL{_GPU}", "{{Hostname}} {{gpu}}"),),
            maximum=100,
        ),
        Panel(
            "Temperature",
            "Die temperature. Clocks come down before the shutdown limit is reached.",
            "celsius",
            (Query(f"DCGM_FI_DEV_GPU_TEMP{_GPU}", "{{Hostname}} {{gpu}}"),),
        ),
        Panel(
            "Power",
            "Board power.",
            "watt",
            (Query(f"DCGM_FI_DEV_POWER_USAGE{_GPU}", "{{Hostname}} {{gpu}}"),),
        ),
        Panel(
            "SM clock",
            "Streaming multiprocessor clock. Low clocks at high utilization are throttling.",
            "hertz",
            (Query(f"DCGM_FI_DEV_SM_CLOCK{_GPU} * 1000000", "{{Hostname}} {{gpu}}"),),
        ),
        Panel(
            "Last XID",
            "Last XID of each GPU. The value stays after the event: a line that steps is the news.",
            "none",
            (Query(f"DCGM_FI_DEV_XID_ERRORS{_GPU} > 0", "{{Hostname}} {{gpu}}"),),
        ),
        Panel(
            "Frame buffer in use",
            "Share of GPU memory in use. An engine that allocates in advance sits at its limit all day.",
            "percentunit",
            (
                Query(
                    f"DCGM_FI_DEV_FB_USED{_GPU} / (DCGM_FI_DEV_FB_USED{_GPU} + DCGM_FI_DEV_FB_FREE{_GPU})",
                    "{{Hostname}} {{gpu}}",
                ),
            ),
            maximum=1,
        ),
    ),
)

ENGINES = Row(
    "Serving engines",
    (
        Panel(
            "Requests running",
            "Requests in the running batch of each engine.",
            "short",
            (Query(f"vllm:num_requests_running{_ENGINE}", _PER_ENGINE),),
        ),
        Panel(
            "Requests waiting",
            "Requests that wait for room in the batch. A queue that only grows is overload.",
            "short",
            (Query(f"vllm:num_requests_waiting{_ENGINE}", _PER_ENGINE),),
        ),
        Panel(
            "Tokens generated",
            "Tokens per second of each engine. Zero with requests running is a stalled engine.",
            "tokens/s",
            (Query(f"rate(vllm:generation_tokens_total{_ENGINE}[$__rate_interval])", _PER_ENGINE),),
        ),
        Panel(
            "Time to first token",
            "From arrival to the first token, estimated from buckets.",
            "s",
            _quantiles("vllm:time_to_first_token_seconds"),
        ),
        Panel(
            "Inter-token latency",
            "Time between two tokens of one request, estimated from buckets.",
            "s",
            _quantiles("vllm:inter_token_latency_seconds"),
        ),
        Panel(
            "KV cache in use",
            "Share of KV blocks in use. A full cache means preemption and queueing, not a crash.",
            "percentunit",
            (Query(f"vllm:kv_cache_usage_perc{_ENGINE}", _PER_ENGINE),),
            maximum=1,
        ),
        Panel(
            "Errors",
            "Requests that failed, per second: 5xx answers, refused admissions, and finished with an error.",
            "reqps",
            (
                Query(
                    'sum by (instance) (rate(http_requests_total{status="5xx"}[$__rate_interval]))',
                    "{{instance}} 5xx",
                ),
                Query(
                    f"sum by (instance) (rate(vllm:admission_rejections_total{_ENGINE}[$__rate_interval]))",
                    "{{instance}} refused",
                ),
                Query(
                    "sum by (instance) (rate(vllm:request_success_total"
                    '{model_name=~"$model", finished_reason="error"}[$__rate_interval]))',
                    "{{instance}} error",
                ),
            ),
            24,
        ),
    ),
)

HOSTS = Row(
    "Hosts",
    (
        Panel(
            "CPU busy",
            "Share of CPU time that was not idle.",
            "percentunit",
            (
                Query(
                    "1 - avg by (node) "
                    f'(rate(node_cpu_seconds_total{{{_HOST}, mode="idle"}}[$__rate_interval]))',
                    "{{node}}",
                ),
            ),
            maximum=1,
        ),
        Panel(
            "Memory available",
            "Share of memory that new work can have without swapping.",
            "percentunit",
            (
                Query(
                    f"node_memory_MemAvailable_bytes{{{_HOST}}} / node_memory_MemTotal_bytes{{{_HOST}}}",
                    "{{node}}",
                ),
            ),
            maximum=1,
        ),
        Panel(
            "Pressure",
            "Share of time in which some task waited for CPU, memory or disk.",
            "percentunit",
            (
                Query(
                    f"rate(node_pressure_cpu_waiting_seconds_total{{{_HOST}}}[$__rate_interval])",
                    "{{node}} CPU",
                ),
                Query(
                    f"rate(node_pressure_memory_waiting_seconds_total{{{_HOST}}}[$__rate_interval])",
                    "{{node}} memory",
                ),
                Query(
                    f"rate(node_pressure_io_waiting_seconds_total{{{_HOST}}}[$__rate_interval])",
                    "{{node}} disk",
                ),
            ),
            maximum=1,
        ),
        Panel(
            "Disk busy",
            "Share of time in which a block device had work.",
            "percentunit",
            (
                Query(
                    f"rate(node_disk_io_time_seconds_total{{{_HOST}}}[$__rate_interval])",
                    "{{node}} {{device}}",
                ),
            ),
            maximum=1,
        ),
        Panel(
            "Filesystem free",
            "Share of each filesystem that unprivileged users can still write.",
            "percentunit",
            (
                Query(
                    f"node_filesystem_avail_bytes{{{_HOST}}} / node_filesystem_size_bytes{{{_HOST}}}",
                    "{{node}} {{mountpoint}}",
                ),
            ),
            maximum=1,
        ),
        Panel(
            "Network",
            "Bytes per second in and out, without the loopback device.",
            "Bps",
            (
                Query(
                    "sum by (node) "
                    f'(rate(node_network_receive_bytes_total{{{_HOST}, device!="lo"}}[$__rate_interval]))',
                    "{{node}} in",
                ),
                Query(
                    "sum by (node) "
                    f'(rate(node_network_transmit_bytes_total{{{_HOST}, device!="lo"}}[$__rate_interval]))',
                    "{{node}} out",
                ),
            ),
        ),
    ),
)

PIPELINE = Row(
    "Fleetowl itself",
    (
        Panel(
            "Tick",
            "Time that each step of the last tick took. The tick comes once a second.",
            "s",
            (Query("fleetowl_tick_step_seconds", "{{step}}"),),
        ),
        Panel(
            "Samples",
            "Samples per second that the window took, and those that it refused, by reason.",
            "short",
            (
                Query("rate(fleetowl_window_samples_appended_total[$__rate_interval])", "taken"),
                Query(
                    "sum by (reason) (rate(fleetowl_window_samples_refused_total[$__rate_interval]))",
                    "refused: {{reason}}",
                ),
            ),
        ),
        Panel(
            "Window",
            "Series that the window holds.",
            "short",
            (Query("fleetowl_window_series", "series"),),
        ),
        Panel(
            "Notifications",
            "Notifications sent and attempts that failed, per second, by receiver.",
            "short",
            (
                Query(
                    "sum by (receiver) (rate(fleetowl_alertmanager_notifications_total[$__rate_interval]))",
                    "{{receiver}} sent",
                ),
                Query(
                    "sum by (receiver) "
                    "(rate(fleetowl_alertmanager_notification_failures_total[$__rate_interval]))",
                    "{{receiver}} failed",
                ),
            ),
        ),
        Panel(
            "Runbooks",
            "Open runs of runbooks by state.",
            "short",
            (Query("fleetowl_runbook_open_runs > 0", "{{state}}"),),
        ),
        Panel(
            "Agents' spools",
            "Bytes that wait on the nodes for an analyzer that did not take them.",
            "bytes",
            (Query(f"fleetowl_agent_spool_bytes{{{_HOST}}}", "{{node}}"),),
        ),
        Panel(
            "State on disk",
            "1 while the state database and the window's snapshot can be written.",
            "none",
            (
                Query("fleetowl_store_up", "state database"),
                Query("fleetowl_snapshot_up", "snapshot"),
            ),
            12,
        ),
        Panel(
            "Collectors that fail",
            "Collectors of the node agents that had no success last time.",
            "short",
            (
                Query(
                    f"sum by (node, collector) (fleetowl_collector_success{{{_HOST}}} == bool 0) > 0",
                    "{{node}} {{collector}}",
                ),
            ),
            12,
        ),
    ),
)

ROWS = (STATE, GPUS, ENGINES, HOSTS, PIPELINE)
