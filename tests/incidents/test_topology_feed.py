from __future__ import annotations

import pytest

from incidents.entities import entities_of, subject_of
from incidents.topology_feed import edges_of
from model.labels import Labels
from model.topology import Entity
from tests.incidents.scene import T0, Scene, series

HOUR = 3_600_000


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"node": "n1"}, "node/n1"),
        ({"kubernetes_node": "n1"}, "node/n1"),
        ({"hostname": "n1", "UUID": "GPU-1", "gpu": "3"}, "gpu/GPU-1 node/n1"),
        ({"Hostname": "n1", "uuid": "GPU-1"}, "gpu/GPU-1 node/n1"),
        ({"gpu": "3"}, ""),
        ({"pod": "p", "namespace": "x"}, "replica/p"),
        ({"exported_pod": "work", "pod": "exporter", "UUID": "GPU-1"}, "gpu/GPU-1 replica/work"),
        ({"instance": "h:8000", "engine": "0"}, "replica/h:8000"),
        ({"instance": "h:9100", "node": "n1"}, "node/n1"),
        ({"instance": "h:9100", "job": "x"}, "replica/h:9100"),
        ({"instance": "h:8000", "node": "n1", "model_name": "m"}, "node/n1 replica/h:8000 service/m"),
        ({"model_name": "m"}, "service/m"),
        ({"service": "chat"}, "service/chat"),
        ({"service": "dcgm-exporter", "Hostname": "n1", "UUID": "GPU-1"}, "gpu/GPU-1 node/n1"),
        ({"gpu_uuid": "GPU-1", "model_name": "NVIDIA H100", "nvlink": "0"}, "gpu/GPU-1"),
        ({"rack": "r1"}, "rack/r1"),
        ({"cluster": "c1"}, ""),
    ],
)
def test_entities_of(labels: dict[str, str], expected: str) -> None:
    assert " ".join(sorted(map(str, entities_of(Labels(labels))))) == expected


def test_the_subject_is_the_narrowest() -> None:
    labels = Labels({"Hostname": "n1", "UUID": "GPU-1", "pod": "p"})
    assert subject_of(entities_of(labels)) == Entity("gpu", "GPU-1")
    assert subject_of(frozenset()) is None


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (series("kube_pod_info", node="n1", pod="p"), ["node/n1>replica/p"]),
        (series("kube_pod_info", pod="p"), []),
        (series("DCGM_X", Hostname="n1", UUID="G"), ["node/n1>gpu/G"]),
        (series("DCGM_X", hostname="n1", UUID="G", pod="p"), ["gpu/G>replica/p", "node/n1>gpu/G"]),
        (
            series("vllm:x", pod="p", instance="i:1", model_name="m"),
            ["replica/i:1>service/m", "replica/p>replica/i:1", "replica/p>service/m"],
        ),
        (series("vllm:x", instance="i:1", model_name="m"), ["replica/i:1>service/m"]),
        (
            series("vllm:x", instance="i:1", model_name="m", node="n1"),
            ["node/n1>replica/i:1", "replica/i:1>service/m"],
        ),
        (series("up", node="n1", pod="p"), []),
    ],
)
def test_edges_of(labels: Labels, expected: list[str]) -> None:
    assert sorted(f"{carrier}>{carried}" for carrier, carried in edges_of(labels)) == expected


def test_an_edge_outlives_its_series_by_an_hour_also_over_a_restart() -> None:
    scene = Scene()
    scene.step()
    scene.now = T0 + 59 * 60_000
    scene.restart()
    assert Entity("replica", "vllm-0") in scene.topology.carried(Entity("gpu", "GPU-0-0"))
    scene.feed.observe_all([], T0 + HOUR + 1)
    assert scene.topology.carried(Entity("gpu", "GPU-0-0")) == set()
    scene.step()
    scene.restart()
    assert list(scene.topology.edges()) == []


def test_confirming_edges_is_written_once_a_minute() -> None:
    scene = Scene()
    scene.step()
    scene.feed.observe(series("kube_pod_info", node="n0", pod="vllm-0"), T0 + 59_000)
    assert not scene.feed.dirty
    scene.feed.observe(series("kube_pod_info", node="n0", pod="vllm-0"), T0 + 60_000)
    assert scene.feed.dirty
