"""The cluster as remediation sees it: GPU nodes, who is out, and who took them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

GPU_RESOURCE = "nvidia.com/gpu"
GPU_LABEL = "nvidia.com/gpu.present"
RUN_ANNOTATION = "fleetowl.io/cordoned-by"
PRIOR_ANNOTATION = "fleetowl.io/prior-unschedulable"
FIELD_MANAGER = "fleetowl"

# Taints that take a whole node out of service. Others (nvidia.com/gpu:NoSchedule) stand on healthy nodes.
_OUT_TAINTS = {
    "node.kubernetes.io/not-ready": "not ready",
    "node.kubernetes.io/unreachable": "unreachable",
    "node.kubernetes.io/out-of-service": "out of service",
    "ToBeDeletedByClusterAutoscaler": "being removed by the autoscaler",
    "karpenter.sh/disrupted": "being removed by karpenter",
}


@dataclass(frozen=True)
class NodeView:
    """One node object, as far as decisions need it."""

    name: str
    uid: str
    resource_version: str
    unschedulable: bool = False
    ready: bool = True
    gpu_capacity: int = 0
    gpu_allocatable: int = 0
    gpu_labelled: bool = False
    taints: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    run: str = ""
    prior_unschedulable: bool = False
    cordon_manager: str = ""
    deleting: bool = False

    @classmethod
    def from_object(cls, node: Mapping[str, Any]) -> NodeView:
        """A node object of the Kubernetes API (JSON)."""
        metadata, spec, status = (node.get(part) or {} for part in ("metadata", "spec", "status"))
        annotations = metadata.get("annotations") or {}
        return cls(
            name=metadata["name"],
            uid=metadata.get("uid", ""),
            resource_version=metadata.get("resourceVersion", ""),
            unschedulable=bool(spec.get("unschedulable")),
            ready=_is_ready(status),
            gpu_capacity=_count(status.get("capacity")),
            gpu_allocatable=_count(status.get("allocatable")),
            gpu_labelled=(metadata.get("labels") or {}).get(GPU_LABEL) == "true",
            taints=tuple(taint["key"] for taint in spec.get("taints") or ()),
            addresses=tuple(entry["address"] for entry in status.get("addresses") or ()),
            run=annotations.get(RUN_ANNOTATION, ""),
            prior_unschedulable=annotations.get(PRIOR_ANNOTATION) == "true",
            cordon_manager=_cordon_manager(metadata.get("managedFields") or ()),
            deleting="deletionTimestamp" in metadata,
        )

    @property
    def out(self) -> str:
        """Why no work can be placed here, empty where it can."""
        if self.unschedulable:
            return f"cordoned by {self.cordoned_by}"
        if not self.ready:
            return "not ready"
        if self.deleting:
            return "being deleted"
        return next((_OUT_TAINTS[key] for key in self.taints if key in _OUT_TAINTS), "")

    @property
    def cordoned_by(self) -> str:
        """Who cordoned it: a run of ours, a field manager, or someone."""
        if self.run and self.cordon_manager in ("", FIELD_MANAGER):
            return f"run {self.run}"
        return self.cordon_manager or "someone else"

    def ours(self, run: str) -> bool:
        """Whether the cordon is that of this run and nobody has touched it since."""
        return self.unschedulable and self.run == run and self.cordon_manager in ("", FIELD_MANAGER)

    def fact(self, name: str) -> bool:
        """Whether a fact that runbooks may ask for is true."""
        facts = {
            "node.unschedulable": self.unschedulable,
            "node.not_ready": not self.ready,
            "node.gpu_allocatable_below_capacity": self.gpu_allocatable < self.gpu_capacity,
        }
        return facts[name]


@dataclass(frozen=True)
class ClusterView:
    """All nodes at one moment (ms)."""

    nodes: tuple[NodeView, ...]
    at: int

    @cached_property
    def by_name(self) -> dict[str, NodeView]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def by_uid(self) -> dict[str, NodeView]:
        """Nodes by UID."""
        return {node.uid: node for node in self.nodes}

    @cached_property
    def gpu_nodes(self) -> tuple[NodeView, ...]:
        """Nodes that have GPUs, by name; a node whose driver died keeps its label when its capacity is 0."""
        found = [node for node in self.nodes if node.gpu_capacity or node.gpu_labelled]
        return tuple(sorted(found, key=lambda node: node.name))

    def named(self, name: str) -> NodeView | None:
        """The one node whose name or whose one address is exactly this; None where that is not certain."""
        if name in self.by_name:
            return self.by_name[name]
        found = [node for node in self.nodes if name in node.addresses]
        return found[0] if len(found) == 1 else None


def _is_ready(status: Mapping[str, Any]) -> bool:
    conditions = status.get("conditions") or ()
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


def _count(resources: Mapping[str, Any] | None) -> int:
    text = str((resources or {}).get(GPU_RESOURCE, "0"))
    return int(text) if text.isdigit() else 0


def _cordon_manager(managed: Any) -> str:
    """The field manager that owns spec.unschedulable, empty where nobody is recorded."""
    owners = [
        entry.get("manager", "")
        for entry in managed
        if "f:unschedulable" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return owners[-1] if owners else ""
