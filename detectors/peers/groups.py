"""Who are peers: series of one metric whose labels are the same but for those that name the member.

A GPU's peers are the GPUs of its pod: an engine's tensor-parallel group. What a pod has fewer than three of
is compared with the same GPUs of the same deployment on other nodes. A GPU without a pod has for peers those
of its node, and model, without one. Anything with `model_name` is a replica of its service; a node is one of
its job and pool. Labels that are not known to name a member must agree: so a fill level of `/var` is compared
with that of `/var`, prompt tokens of one model with those of the same.
"""

from __future__ import annotations

import re

from model.labels import NAME, Labels

Key = tuple[tuple[str, str], ...]
"""What all members of a group have in common, the metric's name included; () is no group."""

# dcgm-exporter and the agent: the GPU, its place and its driver.
_GPU = frozenset(
    re.split(
        " ",
        "gpu UUID uuid gpu_uuid pci_bus_id device GPU_I_ID minor_number DCGM_FI_DRIVER_VERSION err_code"
        " err_msg pod_uid container_id",
    )
)
_IDENTITY = ("UUID", "uuid", "gpu_uuid")
# Prometheus, Kubernetes and node_exporter: one of many alike.
_MEMBER = frozenset(
    re.split(
        " ",
        "instance exported_instance pod pod_name exported_pod pod_uid pod_ip container_id node"
        " kubernetes_node nodename Hostname hostname host endpoint engine replica ReplicaId WorkerId",
    )
)
_PODS = ("pod", "exported_pod", "pod_name")
# What controllers append: a ReplicaSet's and its pods' hashes, a StatefulSet's ordinal(s).
_OWN_PART = re.compile(r"(?:-[a-f0-9]{6,10})?-[bcdfghjklmnpqrstvwxz2456789]{5}$|(?:-\d+)+$")


def deployment_of(pod: str) -> str:
    """The name of a pod without what tells it from its replicas.

    >>> deployment_of("llama-7f9c6d5b8-x2kqz"), deployment_of("llama-0"), deployment_of("llama-group-3-1")
    ('llama', 'llama', 'llama-group')
    """
    return _OWN_PART.sub("", pod)


def groups_of(labels: Labels) -> tuple[Key, Key]:
    """The group of a series, and the wider one to fall back on where it has fewer than three members.

    >>> gpu = Labels({"__name__": "DCGM_FI_DEV_POWER_USAGE", "UUID": "GPU-1", "gpu": "1", "pod": "llama-0",
    ...               "Hostname": "n1", "modelName": "H100"})
    >>> groups_of(gpu)[1]
    (('__name__', 'DCGM_FI_DEV_POWER_USAGE'), ('modelName', 'H100'), ('of', 'llama'))
    """
    if any(labels.get(name) for name in _IDENTITY):
        return _of_gpu(labels)
    return tuple(pair for pair in labels.pairs if pair[0] not in _MEMBER), ()


def _of_gpu(labels: Labels) -> tuple[Key, Key]:
    narrow = tuple(pair for pair in labels.pairs if pair[0] not in _GPU)
    pod = next((labels[name] for name in _PODS if labels.get(name)), "")
    if not pod:
        return narrow, ()
    alike = tuple(pair for pair in narrow if pair[0] not in _MEMBER)
    return narrow, (*alike, ("of", deployment_of(pod)))


def metric_of(key: Key) -> str:
    """The metric that a group is about."""
    return dict(key)[NAME]
