"""Cgroup paths as the kubelet's drivers, the container runtimes and both cgroup versions spell them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.pods.cgroup import Membership, membership

UID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
SLICE = UID.replace("-", "_")
ID = "1a2b3c4d" * 8
OTHER = "f" * 64
HASH = "0123456789abcdef" * 2


@pytest.mark.parametrize(
    "path",
    [
        f"/kubepods/pod{UID}/{ID}",
        f"/kubepods/burstable/pod{UID}/{ID}",
        f"/kubepods/besteffort/pod{UID}/crio-{ID}",
        f"/kubepods.slice/kubepods-pod{SLICE}.slice/cri-containerd-{ID}.scope",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{SLICE}.slice/crio-{ID}.scope/container",
        f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{SLICE}.slice/docker-{ID}.scope",
        f"/system.slice/containerd.service/kubepods-burstable-pod{SLICE}.slice:cri-containerd:{ID}",
        f"/../../pod{UID}/{ID}",
        f"/../kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope",
        f"/../../../kubepods-pod{SLICE}.slice/cri-containerd-{ID}.scope",
        f"/docker/{OTHER}/kubelet/kubepods/burstable/pod{UID}/{ID}",
        f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/"
        f"kubelet-kubepods-burstable-pod{SLICE}.slice/cri-containerd-{ID}.scope",
        f"/kubepods/burstable/pod{UID}/{ID}/docker/{OTHER}",
        f"/kubepods/burstable/pod00000000-0000-0000-0000-000000000000/{OTHER}/kubepods/pod{UID}/{ID}",
        f"/k8s.io/kubepods/burstable/pod{UID}/{ID}/init.scope",
    ],
)
@pytest.mark.parametrize("before", ["0::", "11:memory:", "1:name=systemd:"])
def test_a_container_of_a_pod(path: str, before: str) -> None:
    assert membership(f"{before}{path}\n") == Membership(UID, ID)


def test_a_static_pod_has_a_hash_for_its_uid() -> None:
    path = f"0::/kubepods.slice/kubepods-pod{HASH}.slice/cri-containerd-{ID}.scope"
    assert membership(path) == Membership(HASH, ID)
    assert membership(f"0::/kubepods/burstable/pod{HASH}/{ID}") == Membership(HASH, ID)


def test_the_hierarchies_of_version_1_need_not_all_name_the_pod() -> None:
    text = f"12:cpuset:/\n11:memory:/kubepods/pod{UID}/{ID}\n1:name=systemd:/kubepods/pod{UID}/{ID}\n0::/\n"
    assert membership(text) == Membership(UID, ID)


def test_a_pod_without_a_container_id() -> None:
    assert membership(f"0::/kubepods/burstable/pod{UID}") == Membership(UID, "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0::/\n",
        "0::/user.slice/user-1000.slice/session-2.scope\n",
        f"0::/system.slice/docker-{ID}.scope\n",
        f"0::/docker/{ID}\n",
        f"0::/machine.slice/libpod-{ID}.scope\n",
        "0::/system.slice/kubelet.service\n",
        "0::/system.slice/podman.service\n",
        "0::/system.slice/slurmstepd.scope/job_42/step_0/user/task_0\n",
        f"0::/tripod{UID}/{ID}\n",
        "no colons at all",
    ],
)
def test_outside_kubernetes(text: str) -> None:
    assert membership(text) == Membership()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    membership(text)
