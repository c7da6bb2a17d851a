"""The /metrics of kube-state-metrics: nodes, pods and the Deployment of the service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from simulator.cluster import Cluster
from simulator.node import Node
from simulator.page import Page, go_number, series
from simulator.replica import Replica, State

_RESOURCE = [("resource", "nvidia_com_gpu"), ("unit", "integer")]
_STATUSES = ("true", "false", "unknown")
_PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
_CONTAINER = ("container", "vllm")
_BACK_OFF = "CrashLoopBackOff"

Pairs = list[tuple[str, str]]
Thing = TypeVar("Thing")


class KubePage:
    """Renders the page. Nodes and pods of the simulation live as long as it does, so it is laid out once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._page = cluster, Page(go_number)
        self._nodes(cluster.nodes)
        self._node_status(cluster.nodes)
        self._pods(cluster.replicas)
        self._containers(cluster.replicas)
        self._deployment()

    def render(self) -> bytes:
        """The page with the values of now."""
        return self._page.render()

    def _family(
        self, name: str, help_text: str, rows: Sequence[tuple[Pairs, Thing]], read: Callable[[Thing], float]
    ) -> None:
        kind = "counter" if name.endswith("_total") else "gauge"
        things = [thing for _, thing in rows]
        if rows:
            self._page.header(name, kind, help_text)
        self._page.samples(
            [series(name, pairs) for pairs, _ in rows], lambda: [read(thing) for thing in things]
        )

    def _nodes(self, nodes: Sequence[Node]) -> None:
        info = [
            (
                [
                    ("node", node.name),
                    ("kernel_version", "6.1.0-28-amd64"),
                    ("os_image", "Debian GNU/Linux 12 (bookworm)"),
                    ("kubelet_version", "v1.36.2"),
                    ("internal_ip", node.address),
                ],
                1.0,
            )
            for node in nodes
        ]
        self._family("kube_node_info", "Information about a cluster node.", info, float)
        labels = [
            ([("node", node.name), ("label_topology_kubernetes_io_rack", node.rack.name)], 1.0)
            for node in nodes
        ]
        self._family("kube_node_labels", "Kubernetes labels converted to Prometheus labels.", labels, float)

    def _node_status(self, nodes: Sequence[Node]) -> None:
        plain = [([("node", node.name)], node) for node in nodes]
        self._family(
            "kube_node_spec_unschedulable",
            "Whether a node can schedule new pods.",
            plain,
            lambda node: node.cordoned,
        )
        self._family(
            "kube_node_status_condition",
            "The condition of a cluster node.",
            [
                ([("node", node.name), ("condition", "Ready"), ("status", status)], (node, status))
                for node in nodes
                for status in _STATUSES
            ],
            lambda row: row[0].ready.lower() == row[1],
        )
        devices = [([("node", node.name), *_RESOURCE], node) for node in nodes]
        self._family(
            "kube_node_status_capacity",
            "The total amount of resources available for a node.",
            devices,
            lambda node: len(node.gpus),
        )
        self._family(
            "kube_node_status_allocatable",
            "The amount of resources allocatable for pods (after reserving some for system daemons).",
            devices,
            lambda node: node.allocatable,
        )

    def _pod(self, replica: Replica) -> Pairs:
        return [("namespace", self._cluster.settings.namespace), ("pod", replica.name), ("uid", replica.uid)]

    def _pods(self, replicas: Sequence[Replica]) -> None:
        info = [
            (
                [
                    *self._pod(replica),
                    ("host_ip", self._cluster.node(replica.node).address),
                    ("node", replica.node),
                    ("created_by_kind", "ReplicaSet"),
                    ("created_by_name", replica.name.rpartition("-")[0]),
                ],
                1.0,
            )
            for replica in replicas
        ]
        self._family("kube_pod_info", "Information about pod.", info, float)
        phases = [
            ([*self._pod(replica), ("phase", phase)], float(phase == "Running"))
            for replica in replicas
            for phase in _PHASES
        ]
        self._family("kube_pod_status_phase", "The pods current phase.", phases, float)
        self._family(
            "kube_pod_status_ready",
            "Describes whether the pod is ready to serve requests.",
            [
                ([*self._pod(replica), ("condition", status)], (replica, status))
                for replica in replicas
                for status in _STATUSES
            ],
            lambda row: row[1] == ("true" if row[0].ready else "false"),
        )

    def _containers(self, replicas: Sequence[Replica]) -> None:
        containers = [([*self._pod(replica), _CONTAINER], replica) for replica in replicas]
        self._family(
            "kube_pod_container_status_restarts_total",
            "The number of container restarts per container.",
            containers,
            lambda replica: replica.restarts,
        )
        self._family(
            "kube_pod_container_status_waiting_reason",
            "Describes the reason the container is currently in waiting state.",
            [([*pairs, ("reason", _BACK_OFF)], replica) for pairs, replica in containers],
            lambda replica: replica.state is State.EXITED,
        )
        self._family(
            "kube_pod_container_resource_requests",
            "The number of requested request resource by a container.",
            [([*pairs, ("node", replica.node), *_RESOURCE], replica) for pairs, replica in containers],
            lambda replica: len(replica.gpus),
        )

    def _deployment(self) -> None:
        service, replicas = self._cluster.service, self._cluster.replicas
        rows = [([("namespace", service.namespace), ("deployment", service.name)], replicas)]
        for name, help_text, read in (
            ("spec_replicas", "Number of desired pods for a deployment.", len),
            ("status_replicas_ready", "The number of ready replicas per deployment.", _ready),
            (
                "status_replicas_unavailable",
                "The number of unavailable replicas per deployment.",
                lambda group: len(group) - _ready(group),
            ),
            ("status_observed_generation", "The generation observed by the controller.", lambda group: 1),
        ):
            self._family(f"kube_deployment_{name}", help_text, rows, read)


def _ready(replicas: Sequence[Replica]) -> int:
    return sum(replica.ready for replica in replicas)
