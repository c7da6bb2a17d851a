from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.utils import floatToGoString

from simulator.cluster import Cluster
from simulator.dcgm_page import DcgmPage
from simulator.gateway_page import GatewayPage
from simulator.kube_page import KubePage
from simulator.node_page import NodePage
from simulator.page import go_number, python_number, series
from simulator.vllm_page import VllmPage

Make = Callable[..., Cluster]


def samples(body: bytes) -> dict[str, float]:
    """Value by line start, as they stand there."""
    return {
        (line.rpartition(" "))[0]: float(line.rpartition(" ")[2])
        for line in body.decode().splitlines()
        if not line.startswith("#")
    }


def names(text: str) -> set[str]:
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if not line.startswith("#")}


def vllm(cluster: Cluster, index: int = 0) -> bytes:
    return VllmPage(cluster.replicas[index], cluster.settings.engine).render()


def test_the_engine_page_has_the_families_of_a_real_one(make_cluster: Make, shared_data: Path) -> None:
    real = (shared_data / "vllm" / "after-light-load.prom").read_text()
    ours = vllm(make_cluster(warm_up="20s")).decode()
    missing = {
        name for name in names(real) - names(ours) if name.startswith("vllm:") or "http_requests" in name
    }
    # --enable-mfu-metrics was on when the capture was made
    assert {name for name in missing if "per_gpu" not in name} == set()
    assert names(ours) - names(real) == set()


def test_the_engine_page_has_the_buckets_and_labels_of_a_real_one(
    make_cluster: Make, shared_data: Path
) -> None:
    def shape(text: str) -> set[str]:
        starts = {line.rpartition(" ")[0] for line in text.splitlines() if line.startswith("vllm:")}
        starts = {re.sub(r'model_name="[^"]*"', "", start) for start in starts}
        varying = (
            "_tokens_bucket",
            "max_tokens_bucket",
            "cache_config",
            "per_gpu",
        )  # edges follow max_model_len
        return {start for start in starts if not any(part in start for part in varying)}

    real = (shared_data / "vllm" / "after-light-load.prom").read_text()
    assert shape(vllm(make_cluster(warm_up="20s")).decode()) == shape(real)


def test_types_are_those_of_a_real_one(make_cluster: Make, shared_data: Path) -> None:
    def types(text: str) -> dict[str, str]:
        return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))

    real = types((shared_data / "vllm" / "after-light-load.prom").read_text())
    for name, kind in types(vllm(make_cluster(warm_up="20s")).decode()).items():
        assert real[name] == kind


def test_the_gpu_page_looks_like_a_real_one(make_cluster: Make, shared_data: Path) -> None:
    def labels(text: str) -> list[str]:
        line = next(line for line in text.splitlines() if line.startswith("DCGM_FI_DEV_GPU_TEMP{"))
        return re.findall(r'(\w+)="', line)

    cluster = make_cluster(warm_up="10s")
    real = (shared_data / "captures" / "dcgm-exporter-real-L4-idle.prom").read_text()
    ours = DcgmPage(cluster, cluster.nodes[0]).render().decode()
    assert labels(ours) == [*labels(real), "container", "namespace", "pod"]
    assert names(real) <= names(ours)
    assert "DCGM_FI_DEV_XID_ERRORS" in names(ours)
    assert re.search(r"^DCGM_FI_DEV_POWER_USAGE\{.*\} \d+\.\d{6}$", ours, re.MULTILINE)
    assert re.search(r"^DCGM_FI_DEV_SM_CLOCK\{.*\} 1980$", ours, re.MULTILINE)


def test_a_gpu_without_a_replica_has_empty_pod_labels(make_cluster: Make) -> None:
    cluster = make_cluster(replicas_per_node=1, warm_up="2s")
    lines = DcgmPage(cluster, cluster.nodes[0]).render().decode().splitlines()
    [line] = [line for line in lines if line.startswith('DCGM_FI_DEV_FB_USED{gpu="7"')]
    assert 'container="",namespace="",pod=""} 4' in line


def test_a_gpu_that_fell_off_the_bus_has_no_series(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="2s")
    node, page = cluster.nodes[0], DcgmPage(cluster, cluster.nodes[0])
    before = page.render().count(b"\n")
    node.gpus[3].visible = False
    body = page.render()
    assert b'gpu="3"' not in body
    families = len(names(body.decode()))
    assert before - body.count(b"\n") == families
    for gpu in node.gpus:
        gpu.visible = False
    assert page.render() == b""
    node.gpus[3].visible = True
    assert b'gpu="3"' in page.render()


def test_every_page_is_well_formed_and_has_no_series_twice(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="20s")
    cluster.inject("G01")
    cluster.step(20_000)
    pages = [
        vllm(cluster),
        DcgmPage(cluster, cluster.nodes[0]).render(),
        KubePage(cluster).render(),
        NodePage(cluster.nodes[0]).render(),
        GatewayPage(cluster.service).render(),
    ]
    for body in pages:
        families = list(text_string_to_metric_families(body.decode()))
        found = [
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in families
            for sample in family.samples
        ]
        assert len(found) == len(set(found)) > 5
        assert body.endswith(b"\n")


def test_histograms_are_cumulative_and_agree_with_the_counters(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="60s")
    values = samples(vllm(cluster))
    label = '{engine="0",model_name="llama-70b"}'
    for name in names(vllm(cluster).decode()):
        if not name.endswith("_bucket"):
            continue
        buckets = [value for start, value in values.items() if start.startswith(name + "{")]
        assert buckets == sorted(buckets)
        count = [
            value for start, value in values.items() if start.startswith(name.replace("_bucket", "_count"))
        ]
        assert buckets[-1] == count[0]
    finished = sum(value for start, value in values.items() if start.startswith("vllm:request_success_total"))
    assert finished == values[f"vllm:e2e_request_latency_seconds_count{label}"] > 0
    generated, first = (
        values[f"vllm:{name}{label}"]
        for name in ("generation_tokens_total", "time_to_first_token_seconds_count")
    )
    assert values[f"vllm:inter_token_latency_seconds_count{label}"] == generated - first
    sources = [
        value for start, value in values.items() if start.startswith("vllm:prompt_tokens_by_source_total")
    ]
    assert sum(sources) == values[f"vllm:prompt_tokens_total{label}"]


def test_a_restart_begins_new_counters(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="30s")
    page = VllmPage(cluster.replicas[0], cluster.settings.engine)
    start = 'vllm:generation_tokens_total{engine="0",model_name="llama-70b"}'
    born = start.replace("_total", "_created")
    before = samples(page.render())
    cluster.restart(cluster.replicas[0].name)
    after = samples(page.render())
    assert before[start] > 0
    assert after[start] == 0
    assert after[born] == cluster.now / 1000 > before[born]


def test_kube_state_follows_the_cluster(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="5s")
    page, node = KubePage(cluster), cluster.nodes[0]
    resource = f'{{node="{node.name}",resource="nvidia_com_gpu",unit="integer"}}'
    before = samples(page.render())
    assert before[f"kube_node_status_allocatable{resource}"] == 8
    assert before[f'kube_node_spec_unschedulable{{node="{node.name}"}}'] == 0
    episode = cluster.inject("G01", target=node.gpus[0].uuid)
    cluster.step(30_000)
    cluster.cordon(node.name)
    after = samples(page.render())
    [replica] = cluster.related(episode.target, "replica")
    pod = f'{{namespace="serving",pod="{replica.name}",uid="{replica.uid}"'
    assert after[f"kube_node_status_allocatable{resource}"] == 7
    assert after[f"kube_node_status_capacity{resource}"] == 8
    assert after[f'kube_node_spec_unschedulable{{node="{node.name}"}}'] == 1
    assert after[f'kube_pod_status_ready{pod},condition="true"}}'] == 0
    assert after[f'kube_pod_status_ready{pod},condition="false"}}'] == 1
    assert after[f'kube_pod_container_status_restarts_total{pod},container="vllm"}}'] == replica.restarts > 0
    assert after['kube_deployment_status_replicas_ready{namespace="serving",deployment="chat"}'] == 3


def test_the_gateway_counts_every_request_once(make_cluster: Make) -> None:
    cluster = make_cluster(warm_up="30s")
    cluster.inject("S02")
    cluster.inject("S13")
    cluster.step(200_000)
    ledger = cluster.service.ledger
    counted = sum(samples(GatewayPage(cluster.service).render()).values())
    assert counted == ledger.arrived - ledger.in_flight


@pytest.mark.parametrize(
    ("value", "python", "go"),
    [
        (0.0, "0.0", "0"),
        (3.0, "3.0", "3"),
        (0.25, "0.25", "0.25"),
        (1_767_225_600.5, "1.7672256005e+09", "1.7672256005e+09"),
        (2_164_000_000_000.0, "2.164e+12", "2.164e+12"),
        (1_000_000.0, "1e+06", "1000000"),
        (123_456.5, "123456.5", "123456.5"),
    ],
)
def test_numbers_are_written_as_each_exporter_writes_them(value: float, python: str, go: str) -> None:
    assert float(python_number(value)) == value == float(go_number(value))
    assert (python_number(value), go_number(value)) == (python, go)


@given(st.floats())
def test_numbers_of_python_are_those_of_its_client(value: float) -> None:
    assert python_number(value) == floatToGoString(value)  # type: ignore[no-untyped-call]


def test_label_values_are_escaped() -> None:
    assert series("a", [("b", 'x"\\\n')]) == 'a{b="x\\"\\\\\\n"} '
