"""The kubelet's answer, decoded; and bytes that are none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pods.owner import Owner
from agent.pods.resources import Grant, grants
from tests.agent.pods.kubelet import Claim, Container, Pod, answer, gpu_pod, part
from wire.protobuf import MalformedMessage


def test_each_device_of_each_container() -> None:
    pod = Pod(
        "train-0",
        "research",
        [
            Container("worker", [("nvidia.com/gpu", ["GPU-a", "GPU-b"]), ("rdma/hca", ["mlx5_0"])]),
            Container("sidecar"),
        ],
    )
    worker = Owner("train-0", "research", "worker")
    assert grants(answer([pod, gpu_pod("vllm-0", "GPU-c::1", resource="nvidia.com/gpu.shared")])) == [
        Grant(worker, "nvidia.com/gpu", "GPU-a"),
        Grant(worker, "nvidia.com/gpu", "GPU-b"),
        Grant(worker, "rdma/hca", "mlx5_0"),
        Grant(Owner("vllm-0", "llm", "server"), "nvidia.com/gpu.shared", "GPU-c::1"),
    ]


def test_claims() -> None:
    cdi = ("k8s.gpu.nvidia.com/device=gpu-0",)
    claims = [Claim("gpu-0", cdi), Claim("gpu-1"), Claim("", cdi, driver=""), Claim("", driver="")]
    owner = Owner("p", "ns", "c")
    assert grants(answer([Pod("p", "ns", [Container("c", claims=claims)])])) == [
        Grant(owner, "gpu.nvidia.com", "gpu-0", True, cdi),
        Grant(owner, "gpu.nvidia.com", "gpu-1", True),
        Grant(owner, "gpu.nvidia.com", "", True, cdi),
        Grant(owner, "", "", True),
    ]


def test_the_order_of_fields_does_not_matter() -> None:
    devices = part(2, part(2, "GPU-a") + part(1, "nvidia.com/gpu"))
    pod = part(3, devices + part(1, "c")) + part(2, "ns") + part(1, "p")
    assert grants(part(1, pod)) == [Grant(Owner("p", "ns", "c"), "nvidia.com/gpu", "GPU-a")]


def test_too_many_devices_are_refused() -> None:
    crowd = answer([gpu_pod("p", *("x" for _ in range(10_001)))])
    with pytest.raises(MalformedMessage, match="more than 10000 devices"):
        grants(crowd)


names = st.text(max_size=8)
containers = st.builds(
    Container,
    names,
    st.lists(st.tuples(names, st.lists(names, max_size=3)), max_size=3),
    st.lists(st.builds(Claim, names, st.lists(names, max_size=2), names.filter(bool)), max_size=2),
    st.just(b""),
)
pods = st.lists(st.builds(Pod, names, names, st.lists(containers, max_size=3)), max_size=4)


@settings(max_examples=60, deadline=None)
@given(pods)
def test_what_was_written_is_read(many: list[Pod]) -> None:
    expected = []
    for pod in many:
        for container in pod.containers:
            owner = Owner(pod.name, pod.namespace, container.name)
            for resource, devices in container.devices:
                expected += [Grant(owner, resource, device) for device in devices]
            expected += [
                Grant(owner, claim.driver, claim.device, True, tuple(claim.cdi)) for claim in container.claims
            ]
    assert grants(answer(many)) == expected


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_are_read_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedMessage):
        grants(data)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_answer_is_read_or_malformed(data: st.DataObject) -> None:
    sound = bytearray(answer([gpu_pod("vllm-0", "GPU-a"), gpu_pod("vllm-1", "GPU-b")]))
    for _ in range(data.draw(st.integers(1, 3))):
        sound[data.draw(st.integers(0, len(sound) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedMessage):
        grants(bytes(sound[: data.draw(st.integers(0, len(sound)))]))
