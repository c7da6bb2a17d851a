"""All shipped rules over a virtual cluster: each alert fires on its fault and is silent on the look-alike."""

from __future__ import annotations

import math

import pytest

from model.alert import Tier
from model.moment import SECOND
from rules.group import RuleGroup
from tests.rules.cluster import Cluster

pytestmark = pytest.mark.acceptance
Samples = dict[str, float]

NODE = 'job="agent",instance="n1"'
ENGINE = 'job="vllm",instance="e1:8000",pod="p1",engine="0",model_name="m"'


@pytest.fixture
def it(pack_groups: list[RuleGroup]) -> Cluster:
    return Cluster(groups=pack_groups)


def kind(labels: str, name: str) -> Samples:
    return {f'fleetowl_target_kind{{{labels},kind="{name}"}}': 1}


def test_a_lost_agent_is_one_alert_at_once(it: Cluster) -> None:
    kinds = {**kind(NODE, "node"), **kind(NODE, "agent")}
    now = it.run(5, lambda _: {f"up{{{NODE}}}": 1, **kinds})
    it.run(20, lambda _: {f"up{{{NODE}}}": 0, **kinds}, now)
    assert [(alert.name, alert.starts_at, alert.tier) for alert in it.fired] == [
        ("InstanceDown", now, Tier.P1)
    ]


def test_a_scraped_target_may_fail_once(it: Cluster) -> None:
    kinds = kind(NODE, "node")
    now = it.run(60, lambda second: {f"up{{{NODE}}}": 0 if second == 30 else 1, **kinds}, interval=5 * SECOND)
    assert not it.names()
    it.run(20, lambda _: {f"up{{{NODE}}}": 0, **kinds}, now, interval=5 * SECOND)
    assert [(alert.name, alert.starts_at, alert.tier) for alert in it.fired] == [
        ("InstanceDown", now + 10 * SECOND, Tier.P2)
    ]


def test_an_engine_that_is_gone_is_not_also_an_instance_down(it: Cluster) -> None:
    target = 'job="vllm",instance="e1:8000"'
    kinds = kind(target, "engine")
    now = it.run(5, lambda _: {f"up{{{target}}}": 1, **kinds})
    it.run(20, lambda _: {f"up{{{target}}}": 0, **kinds}, now)
    assert [alert.name for alert in it.fired] == ["EngineGone"]


def engine(running: float, waiting: float, second: int, number: int = 1) -> Samples:
    labels = ENGINE.replace("e1", f"e{number}")
    return {
        f"vllm:num_requests_running{{{labels}}}": running,
        f"vllm:num_requests_waiting{{{labels}}}": waiting,
        f"vllm:generation_tokens_total{{{labels}}}": 100.0 * second,
        f"vllm:prompt_tokens_total{{{labels}}}": 100.0 * second,
        f"vllm:iteration_tokens_total_count{{{labels}}}": 10.0 * second,
    }


def test_a_queue_on_one_replica_is_the_engines(it: Cluster) -> None:
    it.run(150, lambda second: {**engine(8, 20, second), **engine(8, 0, second, 2)})
    assert it.names() == {"EngineQueue"}
    assert {alert.labels.value("instance") for alert in it.firing} == {"e1:8000"}


def test_a_queue_on_all_replicas_is_demand(it: Cluster) -> None:
    it.run(150, lambda second: {**engine(8, 20, second), **engine(8, 9, second, 2)})
    assert it.names() == {"EngineQueue", "ServiceOverloaded"}
    [overload] = [alert for alert in it.firing if alert.name == "ServiceOverloaded"]
    assert (overload.labels["model_name"], overload.value, overload.tier) == ("m", 9, Tier.P1)


def test_a_short_queue_is_nothing(it: Cluster) -> None:
    it.run(150, lambda second: engine(8, 30 if second % 40 < 20 else 0, second))
    assert not it.names()


def preempting(second: int, waiting: float, preemptions: float) -> Samples:
    return {
        **engine(8, waiting, second),
        f"vllm:kv_cache_usage_perc{{{ENGINE}}}": 0.99,
        f"vllm:num_preemptions_total{{{ENGINE}}}": preemptions * second,
    }


def test_preemption_with_a_queue_fires(it: Cluster) -> None:
    it.run(130, lambda second: preempting(second, 3, 2))
    assert it.names() == {"EnginePreempting"}


def test_a_full_cache_without_preemption_is_no_fault(it: Cluster) -> None:
    it.run(130, lambda second: preempting(second, 3, 0))
    assert not it.names()


def requests(second: int, good: float, failed: float, rejected: float, wrong: float = 0) -> Samples:
    http = 'http_requests_total{job="vllm",instance="e1:8000",pod="p1",handler="/v1/chat",status='
    label = 'job="vllm",instance="e1:8000",pod="p1",model_name="m"'
    return {
        **engine(2, 0, second),
        http + '"2xx"}': 100 + good * second,
        http + '"4xx"}': wrong * second,
        http + '"5xx"}': 5 + failed * second,
        f'vllm:admission_rejections_total{{{label},reason="max_num_queued_reqs"}}': rejected * second,
        f'vllm:request_success_total{{{ENGINE},finished_reason="error"}}': 0,
    }


@pytest.mark.parametrize(
    ("good", "failed", "rejected", "fires"),
    [
        (20.0, 1.0, 0.0, True),  # failures answered with 5xx
        (20.0, 0.0, 1.0, True),  # rejections inside a stream that was answered 200
        (20.0, 1.0, 1.0, True),
        (20.0, 0.1, 0.1, False),  # half a per cent
        (0.1, 0.1, 0.0, False),  # half of sixty requests
    ],
)
def test_error_rate(it: Cluster, good: float, failed: float, rejected: float, fires: bool) -> None:
    it.run(400, lambda second: requests(second, good, failed, rejected), interval=15 * SECOND)
    assert it.names() == ({"ErrorRateHigh"} if fires else set())


def test_the_error_rate_counts_what_failed_once(it: Cluster) -> None:
    it.run(400, lambda second: requests(second, 19.0, 1.0, 1.0), interval=15 * SECOND)
    [alert] = [alert for alert in it.firing if alert.name == "ErrorRateHigh"]
    assert alert.value == pytest.approx(0.05)
    assert alert.labels["pod"] == "p1"


def test_what_clients_send_wrong_is_not_an_error_of_the_service(it: Cluster) -> None:
    it.run(400, lambda second: requests(second, 20, 0, 0, wrong=20), interval=15 * SECOND)
    assert not it.names()


def test_errors_of_other_services_are_not_the_engines(it: Cluster) -> None:
    def web(second: int) -> Samples:
        return {f'http_requests_total{{job="web",instance="w",status="{s}xx"}}': 9.0 * second for s in (2, 5)}

    it.run(400, web, interval=15 * SECOND)
    assert not it.names()


def first_token(second: int, rate: float, slow_share: float) -> Samples:
    total = rate * second
    buckets = {"0.25": 0.5, "0.5": 1 - slow_share, "1.0": 1.0, "+Inf": 1.0}
    name = "vllm:time_to_first_token_seconds"
    return {
        **engine(2, 0, second),
        **{f'{name}_bucket{{{ENGINE},le="{le}"}}': total * share for le, share in buckets.items()},
        f"{name}_count{{{ENGINE}}}": total,
    }


@pytest.mark.parametrize(
    ("rate", "slow_share", "fires"), [(2, 0.03, True), (2, 0.005, False), (0.1, 0.5, False), (0, 0, False)]
)
def test_time_to_first_token(it: Cluster, rate: float, slow_share: float, fires: bool) -> None:
    it.run(400, lambda second: first_token(second, rate, slow_share), interval=15 * SECOND)
    assert it.names() == ({"TimeToFirstTokenHigh"} if fires else set())


def gpu(number: int, **values: float) -> Samples:
    labels = (
        f'gpu="{number}",UUID="GPU-{number}",Hostname="n1",job="dcgm",instance="n1:9400",pod="vllm-{number}"'
    )
    return {f"DCGM_FI_DEV_{name}{{{labels}}}": value for name, value in values.items()}


def node_of_gpus(*, xid: float = 0, without: tuple[int, ...] = ()) -> Samples:
    samples: Samples = {}
    for number in range(4):
        if number not in without:
            code = xid if number == 3 else 0
            samples |= gpu(number, GPU_TEMP=60, SM_CLOCK=1980, XID_ERRORS=code)
    return samples


def test_gpu_lost_is_one_alert_from_the_xid_until_it_is_back(it: Cluster) -> None:
    now = it.run(10, lambda _: node_of_gpus())
    begun = now
    now = it.run(5, lambda _: node_of_gpus(xid=79), now)
    it.stale(now, *(gpu(3, GPU_TEMP=0, SM_CLOCK=0, XID_ERRORS=0)))
    now = it.run(20, lambda _: node_of_gpus(without=(3,)), now)
    [alert] = [alert for alert in it.fired if alert.name == "GpuLost"]
    assert (alert.starts_at, alert.tier) == (begun, Tier.P0)
    assert dict(alert.labels) == {
        "alertname": "GpuLost",
        "gpu": "3",
        "UUID": "GPU-3",
        "Hostname": "n1",
        "tier": "P0",
        "kind": "threshold",
        "severity": "critical",
    }
    assert not it.resolved
    it.run(5, lambda _: node_of_gpus(), now)
    assert [alert.name for alert in it.resolved] == ["GpuLost"]


def test_a_gpu_stays_lost_beyond_the_history(it: Cluster) -> None:
    now = it.run(30, lambda _: node_of_gpus(), interval=15 * SECOND)
    now = it.run(20 * 60, lambda _: node_of_gpus(without=(3,)), now, interval=15 * SECOND)
    assert it.names() == {"GpuLost"}
    assert not it.resolved


def test_a_latched_xid_of_long_ago_is_no_loss(it: Cluster) -> None:
    it.run(30, lambda _: node_of_gpus(xid=79))
    assert not it.names()


def test_a_crashed_exporter_is_no_lost_gpu(it: Cluster) -> None:
    now = it.run(10, lambda _: node_of_gpus())
    it.stale(now, *node_of_gpus())
    it.run(60, lambda _: {}, now)
    assert not it.names()


def test_other_xids_are_no_lost_gpu(it: Cluster) -> None:
    now = it.run(10, lambda _: node_of_gpus())
    it.run(10, lambda _: node_of_gpus(xid=45), now)
    assert not it.names()


def hot(temperature: float, clock: float) -> Samples:
    return {**node_of_gpus(without=(3,)), **gpu(3, GPU_TEMP=temperature, SM_CLOCK=clock, XID_ERRORS=0)}


@pytest.mark.parametrize(
    ("temperature", "clock", "fires"),
    [(89, 1400, True), (89, 1980, False), (60, 345, False)],
    ids=["throttles", "hot at work", "idle"],
)
def test_thermal_throttle(it: Cluster, temperature: float, clock: float, fires: bool) -> None:
    now = it.run(20, lambda _: hot(60, 1980))
    it.run(60, lambda _: hot(temperature, clock), now)
    assert it.names() == ({"GpuThermalThrottle"} if fires else set())


def test_a_clock_that_saws_is_one_alert(it: Cluster) -> None:
    it.run(1200, lambda second: hot(88, 1980 if second % 65 < 35 else 1300), interval=5 * SECOND)
    assert [alert.name for alert in it.fired] == ["GpuThermalThrottle"]
    assert not it.resolved


def test_a_throttling_gpu_stays_found_for_hours(it: Cluster) -> None:
    it.run(1200, lambda _: hot(90, 1300), interval=15 * SECOND)
    assert it.names() == {"GpuThermalThrottle"}


def kubernetes(allocatable: float) -> Samples:
    labels = 'job="kube-state-metrics",instance="ksm",node="n1",resource="nvidia_com_gpu",unit="integer"'
    return {
        f"kube_node_status_capacity{{{labels}}}": 8,
        f"kube_node_status_allocatable{{{labels}}}": allocatable,
    }


@pytest.mark.parametrize(("allocatable", "fires"), [(7, True), (8, False)])
def test_node_gpus_missing(it: Cluster, allocatable: float, fires: bool) -> None:
    it.run(10, lambda _: kubernetes(allocatable))
    assert it.names() == ({"NodeGpusMissing"} if fires else set())


def host(**values: float) -> Samples:
    return {f"node_{name}{{{NODE}}}": value for name, value in values.items()}


@pytest.mark.parametrize(("available", "fires"), [(5, True), (20, False)])
def test_host_memory(it: Cluster, available: float, fires: bool) -> None:
    it.run(130, lambda _: host(memory_MemAvailable_bytes=available, memory_MemTotal_bytes=100))
    assert it.names() == ({"HostMemoryHigh"} if fires else set())


@pytest.mark.parametrize(
    ("metric", "share", "seconds", "alert"),
    [
        ("memory_stalled", 0.3, 150, "HostMemoryPressure"),
        ("io_stalled", 0.7, 700, "HostIOPressure"),
        ("cpu_waiting", 0.95, 700, "HostCPUPressure"),
    ],
)
def test_host_pressure(it: Cluster, metric: str, share: float, seconds: int, alert: str) -> None:
    name = f"pressure_{metric}_seconds_total"
    now = it.run(seconds, lambda second: host(**{name: second * share}), interval=15 * SECOND)
    assert it.names() == {alert}
    it.run(seconds, lambda second: host(**{name: seconds * share + second * 0.01}), now, interval=15 * SECOND)
    assert not it.names()


def disk(available: float, readonly: float = 0, fstype: str = "ext4") -> Samples:
    labels = f'{NODE},device="/dev/vda",fstype="{fstype}",mountpoint="/"'
    return {
        f"node_filesystem_avail_bytes{{{labels}}}": available,
        f"node_filesystem_size_bytes{{{labels}}}": 100,
        f"node_filesystem_readonly{{{labels}}}": readonly,
    }


@pytest.mark.parametrize(
    ("samples", "fires"),
    [(disk(5), True), (disk(50), False), (disk(0, fstype="squashfs"), False), (disk(5, readonly=1), False)],
)
def test_filesystem_almost_full(it: Cluster, samples: Samples, fires: bool) -> None:
    it.run(320, lambda _: samples, interval=15 * SECOND)
    assert it.names() == ({"HostFilesystemAlmostFull"} if fires else set())


def test_a_filesystem_that_becomes_read_only_fires_as_long_as_it_is(it: Cluster) -> None:
    now = it.run(60, lambda _: disk(50), interval=15 * SECOND)
    now = it.run(20 * 60, lambda _: disk(50, readonly=1), now, interval=15 * SECOND)
    assert it.names() == {"HostFilesystemReadOnly"}
    assert len(it.fired) == 1
    it.run(60, lambda _: disk(50), now, interval=15 * SECOND)
    assert not it.names()


def test_a_filesystem_that_was_mounted_read_only_is_fine(it: Cluster) -> None:
    it.run(60, lambda _: disk(50, readonly=1))
    assert not it.names()


def load(value: float, expected: float = 4.0, whole: float = 0.0) -> Samples:
    """`whole` is how unlike itself the host is as a whole."""
    companion = f'fleetowl_expected_high{{{NODE},metric="node_load1",detector="level"}}'
    entity = f'fleetowl_anomaly_score{{{NODE},entity="node",detector="state"}}'
    cpus = {f'node_cpu_seconds_total{{{NODE},cpu="{cpu}",mode="idle"}}': 1.0 for cpu in range(8)}
    return {**host(load1=value), companion: expected, entity: whole, **cpus}


@pytest.mark.parametrize(
    ("value", "expected", "whole", "fires"),
    [
        (12, 4, 1.5, True),
        (6, 4, 1.5, False),
        (12, 20, 1.5, False),
        (12, math.nan, 1.5, False),
        (12, 4, 0.5, False),
    ],
    ids=[
        "unusual and too much",
        "unusual, but CPUs are free",
        "usual here",
        "not learned yet",
        "no second sign",
    ],
)
def test_host_load_anomalous(it: Cluster, value: float, expected: float, whole: float, fires: bool) -> None:
    it.run(320, lambda _: load(value, expected, whole), interval=15 * SECOND)
    assert it.names() == ({"HostLoadAnomalous"} if fires else set())
