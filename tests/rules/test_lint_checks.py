"""Each check of `rules lint` on what it is for, and on what only looks like it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from rules.lint.finding import Severity
from rules.lint.registry import Surroundings, discover, version_of
from rules.lint.rule import LintedRule
from rules.promql.scrapes import parse_span
from rules.promql.tree import parsed

CHECKS = discover()
TTFT = "vllm:time_to_first_token_seconds_bucket"


def alert(
    expr: str,
    hold: str = "1m",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    name: str = "Something",
) -> LintedRule:
    labels = {"tier": "P2"} if labels is None else labels
    annotations = {"summary": "it is so"} if annotations is None else annotations
    return LintedRule("a.yml", "g", 1, name, True, parsed(expr), parse_span(hold), labels, annotations)


def record(name: str, expr: str) -> LintedRule:
    return LintedRule("a.yml", "g", 1, name, False, parsed(expr))


def said(check: str, rule: LintedRule, *others: LintedRule, **around: object) -> list[str]:
    """What a check says: severity, sentence and way out as one text each."""
    surroundings = Surroundings([*others, rule], **around)  # type: ignore[arg-type]
    remarks = CHECKS[check].find(rule, surroundings)
    return [f"{remark.severity}: {remark.sentence} ({remark.way_out})" for remark in remarks]


CASES = [
    ("rate-of-gauge", "increase(DCGM_FI_DEV_XID_ERRORS[5m]) > 0", "error: DCGM_FI_DEV_XID_ERRORS is a gauge"),
    ("rate-of-gauge", "rate(vllm:num_requests_waiting[5m]) > 1", "use delta() or deriv()"),
    ("rate-of-gauge", "rate(node_memory_MemAvailable_bytes[5m]) < 0", "error"),
    ("rate-of-gauge", "sum(irate(cache_hit_ratio[5m])) > 1", "warning: cache_hit_ratio is a gauge"),
    ("rate-of-gauge", "increase(job:errors:rate5m[1h]) > 1", "warning"),
    (
        "counter-threshold",
        "vllm:num_preemptions_total > 0",
        "compare increase(vllm:num_preemptions_total[5m])",
    ),
    ("counter-threshold", "100 < sum by (job) (http_requests_total)", "> 100 compares its whole life"),
    ("counter-threshold", "up == 1 and on (job) vllm:time_to_first_token_seconds_count >= 100", ">= 100"),
    ("latched-gauge", "DCGM_FI_DEV_XID_ERRORS > 0", "changes(DCGM_FI_DEV_XID_ERRORS[5m]) > 0"),
    ("latched-gauge", "DCGM_FI_DEV_XID_ERRORS != 0", "error: DCGM_FI_DEV_XID_ERRORS keeps"),
    ("latched-gauge", "max by (gpu) (max_over_time(DCGM_FI_DEV_XID_ERRORS[5m])) == 79", "never resolves"),
    ("latched-gauge", "sum by (gpu) (DCGM_FI_DEV_XID_ERRORS) > 0", "never resolves"),
    ("latched-gauge", "DCGM_FI_DEV_XID_ERRORS", "never resolves"),
    ("latched-gauge", "DCGM_FI_DEV_XID_ERRORS == 79 and on () changes(up[5m]) > 0", "never resolves"),
    ("fraction-or-percent", "vllm:kv_cache_usage_perc > 90", "is never true (compare with 0.9)"),
    ("fraction-or-percent", "avg_over_time(vllm:kv_cache_usage_perc[5m]) >= 95", "(compare with 0.95)"),
    ("fraction-or-percent", "vllm:kv_cache_usage_perc > 1", "goes from 0 to 1, so > 1 is never true"),
    ("fraction-or-percent", "1 - sglang:token_usage < 10", "is always true"),
    ("fraction-or-percent", "100 * vllm:kv_cache_usage_perc > 9000", "goes from 0 to 100"),
    ("fraction-or-percent", "DCGM_FI_DEV_GPU_UTIL > 0.9", "warning: DCGM_FI_DEV_GPU_UTIL"),
    ("fraction-or-percent", "max by (gpu) (DCGM_FI_PROF_SM_ACTIVE) < 20", "is always true"),
    ("fraction-or-percent", "20 > DCGM_FI_PROF_SM_ACTIVE", "is always true"),
    (
        "fraction-or-percent",
        "DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE) > 90",
        "the part of a sum goes from 0 to 1",
    ),
    ("fraction-or-percent", "cache_hit_ratio < 80", "warning: cache_hit_ratio"),
    (
        "quantile-without-le",
        "histogram_quantile(0.9, sum by (job) (rate(x_bucket[5m]))) > 1",
        "drops the label le",
    ),
    ("quantile-without-le", "histogram_quantile(0.9, sum(rate(x_bucket[5m]))) > 1", "error"),
    ("quantile-without-le", "histogram_quantile(0.9, sum without (le) (rate(x_bucket[5m]))) > 1", "error"),
    (
        "mixed-buckets",
        "histogram_quantile(0.9, sum by (le) (rate(vllm:request_prompt_tokens_bucket[5m]))) > 1",
        "info: the edges of vllm:request_prompt_tokens differ",
    ),
    (
        "bucket-edge",
        "histogram_quantile(0.99, sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m]))) > 0.2",
        "0.2 is no bucket edge of vllm:time_to_first_token_seconds: what lies between two edges is an "
        "estimate (compare with 0.1 or 0.25",
    ),
    (
        "bucket-edge",
        "histogram_quantile(0.9, rate(sglang:time_to_first_token_seconds_bucket[5m])) * 1000 > 500",
        "0.5 is no bucket edge of sglang:time_to_first_token_seconds",
    ),
    (
        "bucket-edge",
        "histogram_quantile(0.9, rate(vllm:inter_token_latency_seconds_bucket[5m])) > 100",
        "all edges are smaller (compare with 80",
    ),
    (
        "bucket-edge",
        'rate(vllm:e2e_request_latency_seconds_bucket{le="3"}[5m]) < 1',
        "error: no bucket of vllm:e2e_request_latency_seconds has le='3', so this selects nothing (take 2.5",
    ),
    ("bucket-edge", 'rate(vllm:e2e_request_latency_seconds_bucket{le="120"}[5m]) < 1', '(write le="120.0")'),
    ("bucket-edge", 'rate(vllm:e2e_request_latency_seconds_bucket{le=~"3|4"}[5m]) < 1', "its edges are 0.3"),
    ("unknown-metric", "rate(vllm:num_preemptions[5m]) > 1", "use vllm:num_preemptions_total"),
    (
        "unknown-metric",
        "vllm:gpu_cache_usage_perc > 0.9",
        "error: vLLM 0.33 has no vllm:gpu_cache_usage_perc",
    ),
    (
        "unknown-metric",
        "histogram_quantile(0.9, rate(vllm:time_per_output_token_seconds_bucket[5m])) > 0.1",
        "(use vllm:inter_token_latency_seconds_bucket)",
    ),
    ("unknown-metric", "vllm:num_requests_swapped > 0", "nothing took its place"),
    ("unknown-metric", "rate(vllm:request_failure_counter[5m]) > 0", "warning: vLLM 0.33 exposes no"),
    ("unknown-metric", "vllm:num_request_running > 0", "(did you mean vllm:num_requests_running?)"),
    ("unknown-metric", "vllm:time_to_first_token_seconds > 1", "never exposed under its bare name"),
    ("unknown-metric", "rate(vllm:corrupted_requests_total[5m]) > 0", "info: vllm:corrupted_requests_total"),
    ("unknown-metric", "DCGM_FI_PROF_SM_ACTIVE < 0.2", "info: DCGM_FI_PROF_SM_ACTIVE is there only with"),
    ("unknown-metric", "DCGM_FI_DEV_SOMETHING > 2", "info: DCGM_FI_DEV_SOMETHING is not in the default list"),
    ("unknown-metric", "DCGM_FI_DEV_GPU_TEMP_CELSIUS > 90", "(use DCGM_FI_DEV_GPU_TEMP)"),
    ("short-window", "rate(x_total[30s]) > 1", "rate() over 30s holds fewer than 4 scrapes of 15s"),
    ("short-window", "changes(x[$scrapes(3)]) > 1", "take [$scrapes(4)] or at least 1m"),
    ("short-window", "irate(x_total[15s]) > 1", "fewer than 2 scrapes"),
    ("plain-regex", 'up{job=~"engine"} == 0', "write job='engine'"),
    ("plain-regex", 'up{job!~"engine"} == 0', "write job!='engine'"),
    (
        "label-not-there",
        'sum by (instance) (absent(up{job="a"}))',
        "has no label instance (its labels are job)",
    ),
    ("label-not-there", "max by (gpu) (sum by (node) (x))", "has no label gpu"),
]

CLEAN = [
    ("rate-of-gauge", "rate(vllm:generation_tokens_total[5m]) < 1"),
    ("rate-of-gauge", "rate(vllm:iteration_tokens_total_count[5m]) < 1"),
    ("rate-of-gauge", "increase(DCGM_FI_DEV_PCIE_REPLAY_COUNTER[5m]) > 8"),
    ("rate-of-gauge", "rate(kubelet_evictions[5m]) > 0"),
    ("rate-of-gauge", "rate(node_vmstat_pgmajfault[5m]) > 500"),
    ("rate-of-gauge", "rate(something_unknown[5m]) > 0"),
    ("rate-of-gauge", "delta(vllm:num_requests_waiting[5m]) > 10"),
    ("counter-threshold", "increase(vllm:num_preemptions_total[5m]) > 0"),
    ("counter-threshold", "gpu_operator_node_device_plugin_devices_total == 0"),
    ("counter-threshold", "up == 1 and on (job) certificate_expiration_seconds_count > 0"),
    ("counter-threshold", "changes(x_total[5m]) == 0"),
    ("latched-gauge", "DCGM_FI_DEV_XID_ERRORS == 79 and on (UUID) changes(DCGM_FI_DEV_XID_ERRORS[5m]) > 0"),
    ("latched-gauge", "DCGM_FI_DEV_XID_ERRORS != DCGM_FI_DEV_XID_ERRORS offset 5m"),
    ("latched-gauge", "changes(DCGM_FI_DEV_XID_ERRORS[5m]) > 0"),
    ("latched-gauge", "DCGM_FI_DEV_GPU_TEMP > 90"),
    ("fraction-or-percent", "vllm:kv_cache_usage_perc > 0.9"),
    ("fraction-or-percent", "100 * vllm:kv_cache_usage_perc > 90"),
    ("fraction-or-percent", "vllm:kv_cache_usage_perc == 1"),
    ("fraction-or-percent", "sum(vllm:kv_cache_usage_perc) > 4"),
    ("fraction-or-percent", "DCGM_FI_DEV_GPU_UTIL > 90"),
    ("fraction-or-percent", "DCGM_FI_DEV_GPU_UTIL == 0"),
    ("fraction-or-percent", "DCGM_FI_DEV_GPU_UTIL / 100 > 0.9"),
    ("fraction-or-percent", "DCGM_FI_PROF_SM_ACTIVE < 0.2"),
    ("fraction-or-percent", "vllm:num_requests_running / vllm:num_requests_waiting > 90"),
    (
        "fraction-or-percent",
        "100 * DCGM_FI_DEV_FB_USED / clamp_min(DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE, 1) > 90",
    ),
    ("fraction-or-percent", "compression_ratio > 3"),
    ("quantile-without-le", "histogram_quantile(0.9, sum by (le, job) (rate(x_bucket[5m]))) > 1"),
    ("quantile-without-le", "histogram_quantile(0.9, sum without (pod) (rate(x_bucket[5m]))) > 1"),
    ("quantile-without-le", "histogram_quantile(0.9, rate(x_bucket[5m])) > 1"),
    ("quantile-without-le", "histogram_quantile(0.9, sum by (job) (rate(native_seconds[5m]))) > 1"),
    (
        "mixed-buckets",
        "histogram_quantile(0.9, sum by (le, model_name) (rate(vllm:request_prompt_tokens_bucket[5m]))) > 1",
    ),
    ("mixed-buckets", "sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[5m])) > 1"),
    ("bucket-edge", "histogram_quantile(0.9, rate(vllm:time_to_first_token_seconds_bucket[5m])) > 0.5"),
    (
        "bucket-edge",
        "histogram_quantile(0.9, rate(vllm:time_to_first_token_seconds_bucket[5m])) * 1000 > 500",
    ),
    ("bucket-edge", "histogram_quantile(0.9, rate(some_seconds_bucket[5m])) > 0.2"),
    ("bucket-edge", 'rate(vllm:e2e_request_latency_seconds_bucket{le="120.0"}[5m]) < 1'),
    ("bucket-edge", 'rate(vllm:e2e_request_latency_seconds_bucket{le="+Inf"}[5m]) < 1'),
    ("bucket-edge", 'rate(vllm:e2e_request_latency_seconds_bucket{le=~"2|2.0"}[5m]) < 1'),
    ("bucket-edge", 'rate(vllm:e2e_request_latency_seconds_bucket{le!="+Inf"}[5m]) < 1'),
    ("unknown-metric", "vllm:num_requests_running > 0"),
    ("unknown-metric", "rate(vllm:spec_decode_num_drafts_total[5m]) > 0"),
    ("unknown-metric", "vllm:request_success_created > 0"),
    ("unknown-metric", "DCGM_FI_DEV_GPU_TEMP > 90"),
    ("unknown-metric", "anything_else > 90"),
    ("short-window", "rate(x_total[1m]) > 1"),
    ("short-window", "rate(x_total[$scrapes(4)]) > 1"),
    ("short-window", "max_over_time(x[15s]) > 1"),
    ("plain-regex", 'up{job=~"engine.*"} == 0'),
    ("plain-regex", 'up{job="engine"} == 0'),
    ("label-not-there", 'sum by (job) (absent(up{job="a"}))'),
    ("label-not-there", "max by (gpu) (sum by (gpu, node) (x))"),
    ("label-not-there", "max by (gpu) (sum without (node) (x))"),
    ("label-not-there", "max by (a) (sum by (b) (x) * on (b) group_left (a) y)"),
    ("label-not-there", 'max by (a) (label_replace(sum by (b) (x), "a", "$1", "b", "(.*)"))'),
    ("label-not-there", 'count by (v) (count_values by (b) ("v", x))'),
    ("label-not-there", "max by (gpu) (time() - max by (gpu) (x))"),
]


@pytest.mark.parametrize(("check", "expr", "expected"), CASES)
def test_it_is_found(check: str, expr: str, expected: str) -> None:
    found = said(check, alert(expr))
    assert len(found) == 1, found
    assert expected in found[0]


@pytest.mark.parametrize(("check", "expr"), CLEAN)
def test_the_look_alike_is_left_alone(check: str, expr: str) -> None:
    assert said(check, alert(expr)) == []


def test_every_check_has_a_case_and_a_look_alike() -> None:
    in_tables = {case[0] for case in CASES} & {case[0] for case in CLEAN}
    own_tests = {"no-for", "same-alert", "weight-decides", "no-tier", "no-summary", "record-unit"}
    assert in_tables | own_tests == CHECKS.keys()


def test_a_recorded_quantile_is_seen_through() -> None:
    ttft = record(
        "llm:ttft:p99",
        f"histogram_quantile(0.99, sum by (model_name, le) (rate({TTFT}[5m])))",
    )
    (found,) = said("bucket-edge", alert("llm:ttft:p99 > 2"), ttft)
    assert "2 is no bucket edge" in found
    assert said("bucket-edge", alert("llm:ttft:p99 > 2.5"), ttft) == []
    other = record("llm:ttft:p99", "vector(1)")
    assert said("bucket-edge", alert("llm:ttft:p99 > 2"), ttft, other) == []


def test_a_rule_that_records_itself_ends() -> None:
    loop = record("a:b", "max(a:b)")
    assert said("fraction-or-percent", alert("a:b > 90"), loop) == []
    assert said("weight-decides", alert("a:b > 90", labels={"tier": "P0"}), loop) == []


@pytest.mark.parametrize(
    ("expr", "version", "words"),
    [
        ("vllm:gpu_cache_usage_perc > 0.9", "0.11", []),
        ("vllm:gpu_cache_usage_perc > 0.9", "0.12", ["error", "it went with 0.12"]),
        ("rate(vllm:inter_token_latency_seconds_sum[5m]) > 1", "0.10.2", ["error", "it came with 0.11"]),
        ("rate(vllm:inter_token_latency_seconds_sum[5m]) > 1", "0.11", []),
        ("rate(vllm:inter_token_latency_seconds_sum[5m]) > 1", "0.32", []),
    ],
)
def test_the_stated_version_counts(expr: str, version: str, words: list[str]) -> None:
    found = said("unknown-metric", alert(expr), engines={"vllm": version_of(version)})
    assert bool(found) == bool(words)
    assert all(word in found[0] for word in words)


def test_a_metric_that_a_rule_records_is_known() -> None:
    mine = record("vllm:queue_per_replica", "vllm:num_requests_waiting")
    assert said("unknown-metric", alert("vllm:queue_per_replica > 1"), mine) == []


def test_the_scrape_interval_counts() -> None:
    assert said("short-window", alert("rate(x_total[1m]) > 1"), scrape_interval=30_000)
    assert said("short-window", alert("rate(x_total[10s]) > 1"), scrape_interval=2_000) == []


@pytest.mark.parametrize(
    ("rule", "severity"),
    [
        (alert("up == 0", hold="0s"), "warning"),
        (alert("up == 0", hold="0s", labels={"severity": "critical"}), "warning"),
        (alert("up == 0", hold="0s", labels={"tier": "P0"}), "info"),
        (alert("up == 0", hold="0s", labels={"tier": "P3"}), "info"),
        (alert("up == 0", hold="$scrapes(2)"), ""),
        (alert("max_over_time(up[5m]) == 0", hold="0s"), ""),
        (alert('ALERTS{severity="info"} == 1', hold="0s"), ""),
        (alert("vector(1)", hold="0s"), ""),
        (record("a:b", "up == 0"), ""),
    ],
)
def test_missing_for(rule: LintedRule, severity: str) -> None:
    found = said("no-for", rule)
    assert [text.partition(":")[0] for text in found] == ([severity] if severity else [])


def test_a_range_in_a_recording_rule_is_a_duration() -> None:
    errors = record("job:errors:rate5m", "rate(errors_total[5m])")
    assert said("no-for", alert("job:errors:rate5m > 1", hold="0s"), errors) == []


def test_two_alerts_with_the_same_labels() -> None:
    first, second = alert("up == 0"), alert("up == 1")
    assert "give one of them another name" in said("same-alert", second, first)[0]
    assert said("same-alert", alert("up == 0", labels={"tier": "P1"}), first) == []
    assert said("same-alert", alert("up == 0", name="Other"), first) == []
    assert list(CHECKS["same-alert"].find(first, Surroundings([first, second]))) == []


@pytest.mark.parametrize("tier", [{"tier": "P0"}, {"tier": "P1"}, {"severity": "critical"}])
def test_the_weight_may_not_decide_over_what_wakes_people(tier: dict[str, str]) -> None:
    expr = "fleetowl_anomaly_score * on (instance) fleetowl_anomaly_weight > 1"
    assert said("weight-decides", alert(expr, labels=tier))[0].startswith("error")
    weighted = record("job:weighted:score", expr)
    assert said("weight-decides", alert("job:weighted:score > 1", labels=tier), weighted)


def test_the_weight_may_quiet_the_rest() -> None:
    expr = "fleetowl_anomaly_score * on (instance) fleetowl_anomaly_weight > 1"
    assert said("weight-decides", alert(expr, labels={"tier": "P2"})) == []
    assert said("weight-decides", alert("fleetowl_anomaly_score > 1", labels={"tier": "P1"})) == []


def test_alerts_say_how_urgent_they_are() -> None:
    assert said("no-tier", alert("up == 0", labels={"team": "a"}))
    assert said("no-tier", alert("up == 0", labels={"severity": "warning"})) == []
    assert said("no-tier", record("a:b", "up")) == []


def test_alerts_have_a_summary() -> None:
    assert said("no-summary", alert("up == 0", annotations={}))[0].startswith("warning")
    assert said("no-summary", alert("up == 0", annotations={"description": "down"}))[0].startswith("info")
    assert said("no-summary", alert("up == 0")) == []


def test_labels_in_templates() -> None:
    annotations = {"summary": "{{ $labels.instance }} of {{ $labels.job }}"}
    (found,) = said("label-not-there", alert('absent(up{job="a"})', annotations=annotations))
    assert "$labels.instance is always empty" in found
    (found,) = said("label-not-there", alert("sum by (job) (up) > 1", annotations=annotations))
    assert "its labels are job" in found
    assert said("label-not-there", alert("up == 0", annotations=annotations)) == []
    by_record = record("job:up:sum", "sum by (job) (up)")
    assert said("label-not-there", alert("job:up:sum > 1", annotations=annotations), by_record)


@pytest.mark.parametrize(
    ("name", "expr", "words"),
    [
        ("accelerator_memory_used_bytes", "DCGM_FI_DEV_MEM_COPY_UTIL", "is in percent"),
        ("accelerator_memory_total_bytes", "DCGM_FI_DEV_FB_USED", "multiply by 1048576"),
        ("accelerator_sm_clock_hertz", "DCGM_FI_DEV_SM_CLOCK", "multiply by 1000000"),
        ("kv_percent", "vllm:kv_cache_usage_perc", "multiply by 100"),
        ("memory_bytes", "DCGM_FI_DEV_FB_USED * 1048576", ""),
        ("accelerator_power_usage_watts", "DCGM_FI_DEV_POWER_USAGE", ""),
        ("accelerator_gpu_utilization", "DCGM_FI_DEV_GPU_UTIL", ""),
    ],
)
def test_units_in_the_names_of_records(name: str, expr: str, words: str) -> None:
    found = said("record-unit", record(name, expr))
    assert bool(found) == bool(words)
    assert not found or words in found[0]


def test_severities_have_an_order() -> None:
    assert Severity.INFO < Severity.WARNING < Severity.ERROR
    for check in CHECKS.values():
        assert set(check.severity.split(", ")) <= {str(severity) for severity in Severity}
        assert check.finds
        assert check.why


@pytest.mark.parametrize(
    ("expr", "others"),
    [
        ('{__name__="fleetowl_anomaly_weight"} > 1', ()),
        ('{__name__=~"fleetowl_anomaly_.+"} > 1', ()),
        ('{__name__!="up", job="dcgm"} > 1', ()),
        ('{job="dcgm"} > 1', ()),
        ("absent(fleetowl_anomaly_weight)", ()),
        ('label_replace(fleetowl_anomaly_weight, "a", "b", "c", "d") > 1', ()),
        ("up == 0 unless on () fleetowl_anomaly_weight < 1", ()),
        ("max_over_time(fleetowl_anomaly_weight[5m]) > 1", ()),
        ('{__name__=~"job:.*"} > 1', (record("job:a", "fleetowl_anomaly_weight"),)),
        ('ALERTS{alertname="Other"} == 1', (alert("fleetowl_anomaly_weight < 1", name="Other"),)),
        ("ALERTS == 1", (alert("fleetowl_anomaly_weight < 1", name="Other"),)),
        ("r9", (record("r0", "fleetowl_anomaly_weight"), *(record(f"r{n + 1}", f"r{n}") for n in range(9)))),
    ],
)
def test_no_way_round_leads_to_the_weight(expr: str, others: tuple[LintedRule, ...]) -> None:
    assert said("weight-decides", alert(expr, labels={"tier": "P1"}), *others)
    assert said("weight-decides", alert(expr, labels={"tier": "P2"}), *others) == []


@pytest.mark.parametrize(
    ("expr", "others"),
    [
        ('{__name__=~"node_.+"} > 1', ()),
        ('ALERTS{alertname="Mine"} == 1', (alert("fleetowl_anomaly_weight < 1", name="Other"),)),
        ('ALERTS{alertname!="Other"} == 1', (alert("fleetowl_anomaly_weight < 1", name="Other"),)),
    ],
)
def test_what_cannot_find_the_weight_may_stay(expr: str, others: tuple[LintedRule, ...]) -> None:
    assert said("weight-decides", alert(expr, labels={"tier": "P1"}), *others) == []
