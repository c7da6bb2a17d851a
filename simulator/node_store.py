"""The objects behind the API double: nodes that follow the simulated cluster, and writes that change it."""

from __future__ import annotations

import copy
from typing import Any

from model.moment import SECOND, format_moment
from simulator.cluster import Cluster
from simulator.node import Node
from simulator.node_document import (
    Document,
    Refused,
    check,
    patched,
    unknown_fields,
    without_unknown,
)
from simulator.replica import Replica, State

_UNSCHEDULABLE = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_GPU = "nvidia.com/gpu"


def _time(moment: int) -> str:
    return format_moment(moment // SECOND * SECOND).replace(".000Z", "Z")


class NodeStore:
    """Documents with one rising resourceVersion; each read first follows what the cluster did by itself."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._version = 1000
        self._documents = {node.name: self._new(node) for node in cluster.nodes}
        self.sync()

    @property
    def version(self) -> str:
        """The newest resourceVersion."""
        return str(self._version)

    def nodes(self) -> list[Document]:
        """All nodes as they are now."""
        self.sync()
        return [copy.deepcopy(document) for document in self._documents.values()]

    def node(self, name: str) -> Document:
        """One node. Raises Refused (404)."""
        self.sync()
        return copy.deepcopy(self._find(name))

    def pods(self) -> list[Document]:
        """All pods of the service."""
        return [self._pod(replica) for replica in self._cluster.replicas]

    def patch(
        self, name: str, patch: Any, patch_type: str, *, status: bool, dry_run: bool, strict: bool
    ) -> tuple[Document, list[str]]:
        """Change a node (or its status); returns the result and the warnings. Raises Refused."""
        self.sync()
        before = self._find(name)
        after = patched(before, patch, patch_type)
        self._fence(before, after)
        unknown = unknown_fields(after)
        if unknown and strict:
            listed = ", ".join(f'unknown field "{field}"' for field in unknown)
            raise Refused(
                422, "Invalid", f'Node in version "v1" cannot be handled: strict decoding error: {listed}'
            )
        after = self._kept(before, without_unknown(after), status)
        check(after)
        warnings = [f'unknown field "{field}"' for field in unknown]
        if dry_run or after == before:
            return after, warnings
        self._store(name, after)
        self._carry_out(name, before, after)
        self.sync()
        return copy.deepcopy(after), warnings

    def sync(self) -> None:
        """Take over what the cluster did: conditions, devices, cordons and the taint that follows one."""
        for node in self._cluster.nodes:
            before = self._documents[node.name]
            after = copy.deepcopy(before)
            self._follow(node, after)
            if after != before:
                self._store(node.name, after)

    def _find(self, name: str) -> Document:
        if name not in self._documents:
            raise Refused(404, "NotFound", f'nodes "{name}" not found')
        return self._documents[name]

    @staticmethod
    def _fence(before: Document, after: Document) -> None:
        old, new = before["metadata"], after.get("metadata", {})
        name = old["name"]
        if new.get("resourceVersion") != old["resourceVersion"]:
            raise Refused(
                409,
                "Conflict",
                f'Operation cannot be fulfilled on nodes "{name}": the object has been modified; please apply'
                " your changes to the latest version and try again",
            )
        if new.get("uid") != old["uid"]:
            message = f"UID in precondition: {new.get('uid')}, UID in object meta: {old['uid']}"
            raise Refused(409, "Conflict", f"Precondition failed: {message}")
        if new.get("name") != name:
            raise Refused(400, "BadRequest", "the name of the object does not match the name on the URL")

    @staticmethod
    def _kept(before: Document, after: Document, status: bool) -> Document:
        # the main resource ignores changes of the status without a word, and the other way round
        kept = copy.deepcopy(before)
        for part in ("status",) if status else ("metadata", "spec"):
            kept[part] = after.get(part) or {}
        if not kept["spec"].get("unschedulable"):
            kept["spec"].pop("unschedulable", None)
        if not kept["spec"].get("taints"):
            kept["spec"].pop("taints", None)
        return kept

    def _store(self, name: str, document: Document) -> None:
        self._version += 1
        document["metadata"]["resourceVersion"] = str(self._version)
        self._documents[name] = document

    def _carry_out(self, name: str, before: Document, after: Document) -> None:
        was, is_now = (bool(document["spec"].get("unschedulable")) for document in (before, after))
        if is_now and not was:
            self._cluster.cordon(name)
        elif was and not is_now:
            self._cluster.uncordon(name)

    def _follow(self, node: Node, document: Document) -> None:
        spec, status = document["spec"], document["status"]
        others = [taint for taint in spec.get("taints", []) if taint["key"] != _UNSCHEDULABLE["key"]]
        if node.cordoned:
            spec["unschedulable"] = True
            present = [taint for taint in spec.get("taints", []) if taint["key"] == _UNSCHEDULABLE["key"]]
            added = {**_UNSCHEDULABLE, "timeAdded": _time(self._cluster.now)}
            spec["taints"] = [*others, *(present or [added])]
        else:
            spec.pop("unschedulable", None)
            spec["taints"] = others
        if not spec["taints"]:
            del spec["taints"]
        status.setdefault("allocatable", {})[_GPU] = str(node.allocatable)
        self._follow_ready(node, status)

    def _follow_ready(self, node: Node, status: Document) -> None:
        conditions = status.setdefault("conditions", [])
        ready = next((entry for entry in conditions if entry.get("type") == "Ready"), None)
        if ready is None:
            # a merge patch wiped it: the node controller sees no kubelet and says Unknown
            conditions.append(
                self._condition("Ready", "Unknown", "NodeStatusNeverUpdated", self._cluster.now)
            )
        elif ready["status"] != node.ready and ready["reason"] != "NodeStatusNeverUpdated":
            reason = "KubeletReady" if node.ready == "True" else "NodeStatusUnknown"
            ready.update(self._condition("Ready", node.ready, reason, node.ready_since))

    @staticmethod
    def _condition(kind: str, status: str, reason: str, since: int) -> Document:
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "lastHeartbeatTime": _time(since),
            "lastTransitionTime": _time(since),
        }

    def _new(self, node: Node) -> Document:
        settings = self._cluster.settings
        self._version += 1
        capacity = {
            "cpu": "192",
            "memory": f"{node.memory_total // 1024}Ki",
            "pods": "110",
            _GPU: str(len(node.gpus)),
        }
        return {
            "kind": "Node",
            "apiVersion": "v1",
            "metadata": {
                "name": node.name,
                "uid": node.uid,
                "resourceVersion": str(self._version),
                "creationTimestamp": _time(node.booted),
                "labels": {
                    "kubernetes.io/hostname": node.name,
                    "node.kubernetes.io/instance-type": "gpu-8x",
                    "nvidia.com/gpu.product": settings.gpu.model_name.replace(" ", "-"),
                    "topology.kubernetes.io/rack": node.rack.name,
                },
                "annotations": {},
            },
            "spec": {"providerID": f"simulated:///{node.name}"},
            "status": {
                "capacity": capacity,
                "allocatable": dict(capacity),
                "conditions": [
                    self._condition("MemoryPressure", "False", "KubeletHasSufficientMemory", node.booted),
                    self._condition("DiskPressure", "False", "KubeletHasNoDiskPressure", node.booted),
                    self._condition("Ready", "True", "KubeletReady", node.ready_since),
                ],
                "addresses": [
                    {"type": "InternalIP", "address": node.address},
                    {"type": "Hostname", "address": node.name},
                ],
                "nodeInfo": {
                    "architecture": "amd64",
                    "bootID": node.uid,
                    "containerRuntimeVersion": "containerd://2.1.4",
                    "kernelVersion": "6.1.0-28-amd64",
                    "kubeProxyVersion": "",
                    "kubeletVersion": "v1.36.2",
                    "machineID": node.uid.replace("-", ""),
                    "operatingSystem": "linux",
                    "osImage": "Debian GNU/Linux 12 (bookworm)",
                    "systemUUID": node.uid,
                },
            },
        }

    def _pod(self, replica: Replica) -> Document:
        settings, service = self._cluster.settings, self._cluster.service
        gpus = {_GPU: str(len(replica.gpus))}
        waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
        running = {"running": {"startedAt": _time(replica.started_at)}}
        return {
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": {
                "name": replica.name,
                "namespace": settings.namespace,
                "uid": replica.uid,
                "resourceVersion": self.version,
                "labels": {"app": service.name},
            },
            "spec": {
                "nodeName": replica.node,
                "containers": [{"name": "vllm", "resources": {"limits": gpus, "requests": gpus}}],
            },
            "status": {
                "phase": "Running",
                "conditions": [
                    {
                        "type": "Ready",
                        "status": str(replica.ready),
                        "lastTransitionTime": _time(replica.ready_since),
                    }
                ],
                "containerStatuses": [
                    {
                        "name": "vllm",
                        "ready": replica.ready,
                        "restartCount": replica.restarts,
                        "image": "vllm/vllm-openai:v0.32.0",
                        "imageID": "",
                        "state": waiting if replica.state is State.EXITED else running,
                    }
                ],
            },
        }
