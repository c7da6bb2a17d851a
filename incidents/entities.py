"""Which things an alert or a series speaks of, from its labels alone."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from model.labels import Labels
from model.topology import GPU_LABELS, NODE_LABELS, POD_LABELS, Entity

HARD = ("gpu", "replica", "node")
"""What a fault sits on, from the narrowest; racks and services only say where else to look."""


def entities_of(labels: Labels) -> frozenset[Entity]:
    """Every entity that the labels name.

    >>> sorted(map(str, entities_of(Labels({"Hostname": "n1", "UUID": "GPU-7", "gpu": "0"}))))
    ['gpu/GPU-7', 'node/n1']
    """
    found = [node_of(labels), gpu_of(labels), replica_of(labels), service_of(labels), _rack_of(labels)]
    return frozenset(entity for entity in found if entity is not None)


@lru_cache(maxsize=65_536)
def links_of(entities: frozenset[Entity]) -> frozenset[Entity]:
    """The entities by which an alert may be tied to others.

    A service or rack is such a tie only where nothing narrower is named: two nodes that fail in one
    rack, or two replicas of one service, are not one fault for that.
    """
    hard = frozenset(entity for entity in entities if entity.kind in HARD)
    rack = frozenset(entity for entity in entities if entity.kind == "rack")
    return hard or rack or entities


def subject_of(entities: Collection[Entity]) -> Entity | None:
    """What the alert is about: the narrowest entity that it names."""
    order = [*HARD, "rack", "service"]
    known = [entity for entity in entities if entity.kind in order]
    return min(known, key=lambda entity: (order.index(entity.kind), entity.name), default=None)


def node_of(labels: Labels) -> Entity | None:
    """The node, under the names that agents and exporters give it."""
    return _first("node", labels, NODE_LABELS)


def gpu_of(labels: Labels) -> Entity | None:
    """The GPU by its UUID; an index alone names no GPU, for it says not on which node."""
    return _first("gpu", labels, GPU_LABELS)


def replica_of(labels: Labels) -> Entity | None:
    """The serving replica by its pod; without one the instance, if that is an engine or all we know."""
    pod = _first("replica", labels, POD_LABELS)
    if pod is not None:
        return pod
    is_engine = "engine" in labels or service_of(labels) is not None
    if is_engine or (node_of(labels) is None and gpu_of(labels) is None):
        return _first("replica", labels, ("instance",))
    return None


def service_of(labels: Labels) -> Entity | None:
    """The served model.

    dcgm-exporter's NVLink series call the GPU's product name `model_name`, and a ServiceMonitor puts the
    exporter's Kubernetes service on every series; neither is the service that users see.
    """
    if gpu_of(labels) is not None:
        return None
    if "model_name" in labels:
        return Entity("service", labels["model_name"])
    return None if node_of(labels) is not None else _first("service", labels, ("service",))


def _rack_of(labels: Labels) -> Entity | None:
    return _first("rack", labels, ("rack",))


def _first(kind: str, labels: Labels, names: Collection[str]) -> Entity | None:
    return next((Entity(kind, labels[name]) for name in names if name in labels), None)
