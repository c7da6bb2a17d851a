from __future__ import annotations

import pytest

from incidents.names import Names
from incidents.roles import sense_of
from incidents.topology_feed import TopologyFeed
from model.labels import Labels
from model.topology import Entity, Topology
from tests.incidents.scene import T0

ROLES = {
    "loss": "NODEDOWN nodedown host_down gpulost DCGMGpuLost KubeNodeUnreachable "
    "NodeDown SwitchDown VllmDown KubeNodeNotReady KubePodNotReady GpuLost RackPowerLoss "
    "EngineStalled DCGMGpuFallenOffBus GpuFallenOffBus",
    "fault": "GpuXid79 NvlinkErrors LeafSwitchPortDown PodOOMKilled GpuThermalThrottle "
    "NvlinkDown GPUXIDError NVLinkCrcErrors GPUECCErrors InfinibandLinkDown "
    "container_oom ib_port_down xid_79 DcgmXidErrors PDUOutletOff GPUXIDERROR",
    "watch": "InstanceDown TargetDown DcgmExporterDown GPUMetricsAbsent scrape_failed DCGMDown "
    "AgentsLostTogether",
    "symptom": "HighTTFT HighErrorRate KubePodCrashLooping VllmITLP99TooHigh TimeToFirstTokenHigh "
    "RequestQueueLong NvidiaGpuCountMismatch GPUHighUtilization http_5xx",
    "driver": "GatewayOverload ServiceOverloaded BadRollout ErrorRateAfterRelease TrafficSurge",
    "other": "DiskFull CertificateExpires",
}


@pytest.mark.parametrize(("name", "role"), [(name, role) for role in ROLES for name in ROLES[role].split()])
def test_the_words_of_a_name_say_what_it_is(name: str, role: str) -> None:
    assert sense_of(name).role.value == role


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("GPUXIDError", "xid"),
        ("NVLinkCrcErrors", "nvlink"),
        ("InfinibandLinkDown", "way"),
        ("ib_port_down", "way"),
        ("IbSymbolErrors", "network"),
        ("GPUECCErrors", "memory"),
    ],
)
def test_the_first_known_word_tells_the_family(name: str, family: str) -> None:
    assert sense_of(name).family == family


def entities(names: Names, **labels: str) -> list[str]:
    return sorted(map(str, names.entities(Labels(labels))))


def feed(*label_sets: dict[str, str]) -> Topology:
    topology = Topology()
    observed = TopologyFeed(topology)
    for labels in label_sets:
        observed.observe_alert(Labels(labels), T0)
    return topology


def test_a_pod_of_a_second_namespace_is_another_pod() -> None:
    names = Names()
    assert entities(names, pod="vllm-0", namespace="a") == ["replica/vllm-0"]
    assert entities(names, pod="vllm-0", namespace="b") == ["replica/b/vllm-0"]
    assert entities(names, pod="vllm-0", namespace="a") == ["replica/vllm-0"]


def test_a_gpu_by_its_place_is_the_one_whose_uuid_was_seen_there() -> None:
    topology = feed(
        {"alertname": "A", "node": "n1", "gpu": "3"},
        {"alertname": "B", "node": "n1", "gpu": "3", "UUID": "GPU-9"},
    )
    assert Entity("gpu", "GPU-9") in topology.carriers(Entity("gpu", "n1/3"))


@pytest.mark.parametrize("instance", ["n1:9100", "n1.cluster.local:9400", "10.0.0.7:9100"])
def test_a_target_is_on_the_node_that_its_host_is(instance: str) -> None:
    topology = feed(
        {"alertname": "InstanceDown", "instance": instance, "job": "x"},
        {"alertname": "NodeDown", "node": "n1", "instance": "10.0.0.7:9100", "job": "node"},
    )
    assert Entity("node", "n1") in topology.carriers(Entity("replica", instance))


def test_kube_state_metrics_is_on_no_node_that_it_speaks_of() -> None:
    topology = feed(
        {
            "alertname": "KubeNodeNotReady",
            "node": "n1",
            "instance": "10.0.0.9:8080",
            "job": "kube-state-metrics",
        },
        {"alertname": "InstanceDown", "instance": "10.0.0.9:8080", "job": "kube-state-metrics"},
    )
    assert topology.carriers(Entity("replica", "10.0.0.9:8080")) == frozenset()


def test_an_alert_shows_an_edge_to_the_nearest_thing_above() -> None:
    topology = feed(
        {"alertname": "A", "cluster": "c", "rack": "r1", "leaf": "s1", "node": "n1"},
        {"alertname": "B", "node": "n1", "UUID": "G", "exported_pod": "p", "gpu": "0"},
        {"alertname": "C", "pod": "p", "namespace": "x", "model_name": "m"},
    )
    assert set(map(str, topology.carriers(Entity("service", "m")))) == {
        "replica/p", "gpu/G", "node/n1", "switch/s1", "rack/r1", "cluster/c",
    }  # fmt: skip


def test_a_switch_without_known_nodes_serves_those_of_its_rack() -> None:
    topology = feed(
        {"alertname": "A", "rack": "r1", "node": "n1"},
        {"alertname": "SwitchDown", "rack": "r1", "switch": "s1"},
    )
    assert Entity("switch", "s1") in topology.carriers(Entity("node", "n1"))
