"""Who is compared with whom."""

from __future__ import annotations

import pytest

from detectors.peers.groups import deployment_of, groups_of
from model.labels import Labels

GPU = {
    "__name__": "DCGM_FI_DEV_POWER_USAGE",
    "job": "dcgm",
    "instance": "n1:9400",
    "Hostname": "n1",
    "modelName": "NVIDIA H100",
    "gpu": "0",
    "UUID": "GPU-0",
    "pod": "llama-7f9c6d5b8-x2kqz",
    "namespace": "serving",
    "container": "vllm",
}
ENGINE = {
    "__name__": "vllm:generation_tokens_total",
    "job": "v",
    "instance": "e1",
    "engine": "0",
    "model_name": "m",
}


def narrow(base: dict[str, str], **other: str) -> object:
    return groups_of(Labels({**base, **other}))[0]


def wide(base: dict[str, str], **other: str) -> object:
    return groups_of(Labels({**base, **other}))[1]


def test_a_gpus_peers_are_those_of_its_pod() -> None:
    assert narrow(GPU) == narrow(GPU, gpu="5", UUID="GPU-5", pci_bus_id="0000:17", device="nvidia5")
    for other in (
        {"pod": "qwen-0"},
        {"modelName": "L4"},
        {"Hostname": "n2"},
        {"__name__": "DCGM_FI_DEV_SM_CLOCK"},
    ):
        assert narrow(GPU) != narrow(GPU, **other)


def test_gpus_of_small_pods_fall_back_on_those_of_the_deployment() -> None:
    other = {
        "pod": "llama-7f9c6d5b8-qq7zz",
        "Hostname": "n2",
        "instance": "n2:9400",
        "UUID": "GPU-9",
        "gpu": "3",
    }
    assert wide(GPU) == wide(GPU, **other) != ()
    assert wide(GPU) != wide(GPU, pod="qwen-7f9c6d5b8-x2kqz")
    assert wide(GPU) != wide(GPU, namespace="batch")


def test_gpus_without_a_pod_are_compared_within_their_node_only() -> None:
    assert narrow(GPU, pod="", container="", namespace="") == narrow(
        GPU, pod="", container="", namespace="", UUID="GPU-3"
    )
    assert narrow(GPU, pod="") != narrow(GPU, pod="", Hostname="n2")
    assert wide(GPU, pod="") == ()


def test_instances_of_one_profile_are_compared() -> None:
    mig = {"GPU_I_PROFILE": "1g.10gb", "GPU_I_ID": "7"}
    assert narrow(GPU, **mig) == narrow(GPU, GPU_I_PROFILE="1g.10gb", GPU_I_ID="9")
    assert narrow(GPU, **mig) != narrow(GPU, GPU_I_PROFILE="3g.40gb", GPU_I_ID="1")


def test_an_engines_peers_are_those_of_its_service() -> None:
    assert narrow(ENGINE) == narrow(ENGINE, instance="e2", engine="1", pod="p-2", node="n7")
    for other in ({"model_name": "n"}, {"job": "w"}, {"service": "s"}, {"finished_reason": "stop"}):
        assert narrow(ENGINE) != narrow(ENGINE, **other)


def test_a_nodes_peers_are_those_of_its_pool() -> None:
    node = {"__name__": "node_filesystem_avail_bytes", "job": "node", "instance": "n1", "device": "/dev/vda"}
    assert narrow(node, mountpoint="/") == narrow(node, mountpoint="/", instance="n2", node="n2")
    assert narrow(node, mountpoint="/") != narrow(node, mountpoint="/var")
    assert narrow(node, pool="a") != narrow(node, pool="b")


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        ("llama-7f9c6d5b8-x2kqz", "llama"),
        ("vllm-llama-70b-0", "vllm-llama-70b"),
        ("vllm-llama-70b-12", "vllm-llama-70b"),
        ("exporter-x2kqz", "exporter"),
        ("serving", "serving"),
        ("", ""),
    ],
)
def test_the_deployment_of_a_pod(pod: str, expected: str) -> None:
    assert deployment_of(pod) == expected
