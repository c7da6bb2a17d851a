"""Entities are told apart by what their series are labelled with, in every exporter's spelling."""

from __future__ import annotations

import pytest

from detectors.entity.identity import key_of, labels_of, print_of
from model.labels import Labels

DCGM = {
    "gpu": "0", "UUID": "GPU-1", "device": "nvidia0", "modelName": "H100", "Hostname": "n1", "pod": "a-1",
    "namespace": "llm", "container": "vllm", "DCGM_FI_DRIVER_VERSION": "570", "job": "dcgm",
    "instance": "n1:9400",
}  # fmt: skip
LINK = {"gpu": "0", "gpu_uuid": "GPU-1", "model_name": "H100", "hostname": "n1", "nvlink": "3"}
VLLM = {"job": "vllm", "instance": "n1:8000", "engine": "0", "model_name": "llama"}


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("gpu", DCGM, LINK),
        ("gpu", DCGM, {**DCGM, "pod": "b-7", "DCGM_FI_DRIVER_VERSION": "575"}),
        ("gpu", {"gpu": "3", "Hostname": "n1"}, {"gpu": "3", "hostname": "n1"}),
        ("node", {"node": "n1", "instance": "10.0.0.1:9100"}, {"node": "n1", "instance": "n1:9100"}),
        ("node", {"instance": "n1:9100"}, {"instance": "n1:9200", "cpu": "3", "mode": "idle"}),
        ("engine", VLLM, {**VLLM, "finished_reason": "stop"}),
    ],
)
def test_the_same(kind: str, one: dict[str, str], other: dict[str, str]) -> None:
    assert key_of(kind, one) == key_of(kind, other) is not None


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("gpu", DCGM, {**DCGM, "GPU_I_ID": "1", "GPU_I_PROFILE": "1g.10gb"}),
        ("gpu", {"gpu": "3", "Hostname": "n1"}, {"gpu": "3", "Hostname": "n2"}),
        ("node", {"node": "n1", "cluster": "a"}, {"node": "n1", "cluster": "b"}),
        ("engine", VLLM, {**VLLM, "engine": "1"}),
        ("engine", VLLM, {**VLLM, "instance": "n1:8001"}),
        ("engine", {"job": "tgi", "instance": "a:80"}, {"job": "tgi", "instance": "b:80"}),
    ],
)
def test_different(kind: str, one: dict[str, str], other: dict[str, str]) -> None:
    assert key_of(kind, one) != key_of(kind, other)


def test_an_index_without_a_node_names_no_gpu() -> None:
    assert key_of("gpu", {"gpu": "3"}) is None
    assert key_of("node", {"job": "x"}) is None


def test_results_are_not_labelled_with_what_comes_and_goes() -> None:
    labels = labels_of("gpu", Labels({"__name__": "DCGM_FI_DEV_GPU_TEMP", **DCGM}))
    assert labels == Labels(
        {
            "entity": "gpu", "gpu": "0", "UUID": "GPU-1", "device": "nvidia0", "modelName": "H100",
            "Hostname": "n1", "job": "dcgm", "instance": "n1:9400",
        }
    )  # fmt: skip
    node = labels_of(
        "node", Labels({"__name__": "node_x", "node": "n1", "cpu": "3", "mode": "idle", "rack": "r7"})
    )
    assert node == Labels({"node": "n1", "rack": "r7", "entity": "node"})


def test_a_print_is_the_same_in_every_process() -> None:
    assert print_of("gpu", ("GPU-1", "")) == 916292631153605702
