"""From the labels of an alert to the one node object that is meant, never by a guess at a name."""

from __future__ import annotations

from dataclasses import dataclass

from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.topology import Entity, Topology
from runbooks.cluster import ClusterView, NodeView
from runbooks.model import Target


@dataclass(frozen=True)
class Resolution:
    """The target, or why there is none; `claimed` is what the alert called it."""

    node: NodeView | None
    decision: Decision
    claimed: str = ""


def resolve(alert: Alert, target: Target, topology: Topology, view: ClusterView) -> Resolution:
    """The node of an alert: by its GPU's UUID through the topology, and by exact name or address.

    All that the alert says must agree; a name that is only similar is no name.
    """
    names = claims(alert, target, topology)
    claimed = ", ".join(names)
    if not names:
        return Resolution(None, refuse(f"{alert.name} names neither a node nor a GPU that is known"))
    found = {name: view.named(name) for name in names}
    missing = [name for name, node in found.items() if node is None]
    if missing:
        why = f"no node of the cluster is called or addressed {missing[0]}, and similar names do not count"
        return Resolution(None, refuse(why), claimed)
    nodes = {node.uid: node for node in found.values() if node is not None}
    if len(nodes) > 1:
        both = " and ".join(sorted(node.name for node in nodes.values()))
        return Resolution(None, refuse(f"labels and topology disagree about the node: {both}"), claimed)
    (node,) = nodes.values()
    return Resolution(node, allow(f"{alert.name} is about {node.name} (uid {node.uid})"), claimed)


def claims(alert: Alert, target: Target, topology: Topology) -> list[str]:
    """Every name that the alert's labels, or the topology for its GPU, give the node."""
    named = {alert.labels.value(label) for label in target.node_labels} - {""}
    carried = {name for label in target.gpu_labels for name in _carriers(alert.labels.value(label), topology)}
    return sorted(named | carried)


def variables(alert: Alert, target: Target, node: NodeView) -> dict[str, str]:
    """What expressions may say of the target: node, uuid and gpu."""
    uuid = next((alert.labels.value(label) for label in target.gpu_labels if alert.labels.value(label)), "")
    return {"node": node.name, "uuid": uuid, "gpu": alert.labels.value("gpu")}


def _carriers(uuid: str, topology: Topology) -> set[str]:
    if not uuid:
        return set()
    return {entity.name for entity in topology.carriers(Entity("gpu", uuid)) if entity.kind == "node"}
