"""Which things an alert or a series speaks of, from its labels alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache

from model.labels import Labels
from model.topology import GPU_LABELS, NODE_LABELS, POD_LABELS, Entity

HARD = ("gpu", "replica", "node")
"""What a fault sits on, from the narrowest; racks and services only say where else to look."""

NODE_NAMES = ("exported_node", *NODE_LABELS, "node_name", "nodename", "host")
SWITCH_NAMES = ("switch", "leaf_switch", "leaf", "tor", "tor_switch")
RACK_NAMES = ("rack", "rack_id")
MODEL_NAMES = ("model_name", "served_model_name", "model")
SERVICE_NAMES = ("exported_service", "service", "inference_service", "gateway")
WORKLOAD_NAMES = ("deployment", "statefulset")
CLUSTER_NAMES = ("cluster", "zone")
NAMESPACES = ("exported_namespace", "namespace")

_WATCHERS = ("exporter", "kube-state-metrics", "prometheus", "fleetowl-agent")
"""Parts of names of what only looks on: neither a serving replica nor a service that users see."""


Identity = tuple[tuple[str, str], ...]
"""The labels that say what a label set speaks of; a hundred alerts of one thing share theirs."""

_TELLING = frozenset(
    [
        *NODE_NAMES,
        *SWITCH_NAMES,
        *RACK_NAMES,
        *MODEL_NAMES,
        *SERVICE_NAMES,
        *WORKLOAD_NAMES,
        *CLUSTER_NAMES,
        *GPU_LABELS,
        *POD_LABELS,
        *NAMESPACES,
        "engine",
        "gpu",
        "instance",
        "job",
    ]
)

_SUFFIXES = ("_rack", "_switch")
"""Racks and switches are called by each site's own prefix: `topology_rack`, `dc_rack`."""


def identity_of(labels: Labels) -> Identity:
    """The labels of a set that tell what it speaks of.

    >>> identity_of(Labels({"alertname": "GpuXid", "Hostname": "n1", "severity": "critical"}))
    (('Hostname', 'n1'),)
    """
    return tuple([pair for pair in labels.pairs if pair[0] in _TELLING or pair[0].endswith(_SUFFIXES)])


def entities_of(labels: Labels) -> frozenset[Entity]:
    """Every entity that the labels name.

    >>> sorted(map(str, entities_of(Labels({"Hostname": "n1", "UUID": "GPU-7", "gpu": "0"}))))
    ['gpu/GPU-7', 'node/n1']
    """
    return _entities_of(identity_of(labels))


@lru_cache(maxsize=65_536)
def _entities_of(identity: Identity) -> frozenset[Entity]:
    labels = Labels(identity)  # of these labels alone, or what is kept would be wrong
    found = (
        node_of(labels),
        gpu_of(labels),
        replica_of(labels),
        service_of(labels),
        rack_of(labels),
        switch_of(labels),
    )
    return frozenset([entity for entity in found if entity is not None])


@lru_cache(maxsize=65_536)
def links_of(entities: frozenset[Entity]) -> frozenset[Entity]:
    """The entities by which an alert may be tied to others.

    A service, rack or switch is such a tie only where nothing narrower is named: two nodes that fail in
    one rack, or two replicas of one service, are not one fault for that.
    """
    hard = frozenset(entity for entity in entities if entity.kind in HARD)
    place = frozenset(entity for entity in entities if entity.kind in ("rack", "switch"))
    return hard or place or entities


_ORDER = {kind: place for place, kind in enumerate([*HARD, "switch", "rack", "service", "cluster"])}


@lru_cache(maxsize=65_536)
def subject_of(entities: Collection[Entity]) -> Entity | None:
    """What the alert is about: the narrowest entity that it names."""
    known = [entity for entity in entities if entity.kind in _ORDER]
    return min(known, key=lambda entity: (_ORDER[entity.kind], entity.name), default=None)


def node_of(labels: Labels) -> Entity | None:
    """The node, under the names that agents and exporters give it.

    kube-prometheus gives node-exporter's alerts the node's name as `instance` and nothing else.
    """
    return _node(dict(labels.pairs))


def gpu_of(labels: Labels) -> Entity | None:
    """The GPU by its UUID, else by its index on its node; an index alone says not on which node."""
    known = dict(labels.pairs)
    gpu = _first("gpu", known, GPU_LABELS)
    if gpu is not None or "gpu" not in known:
        return gpu
    node = _node(known)
    return None if node is None else Entity("gpu", f"{node.name}/{known['gpu']}")


def replica_of(labels: Labels) -> Entity | None:
    """The serving replica by its pod; without one the instance, if that is an engine or all we know."""
    known = dict(labels.pairs)
    pod = next((known[name] for name in POD_LABELS if name in known), None)
    if pod is not None:
        return None if _only_watches(pod) else Entity("replica", pod)
    if _is_node_exporter(known):
        return None
    if "instance" not in known or any(name in known for name in WORKLOAD_NAMES):
        return None  # kube-state-metrics speaks of the workload, by its own address
    is_engine = "engine" in known or service_of(labels) is not None
    if is_engine or (_node(known) is None and gpu_of(labels) is None):
        return Entity("replica", known["instance"])
    return None


def service_of(labels: Labels) -> Entity | None:
    """The served model.

    dcgm-exporter's NVLink series call the GPU's product name `model_name`, and a ServiceMonitor puts the
    exporter's Kubernetes service on every series; neither is the service that users see.
    """
    known = dict(labels.pairs)
    if "gpu" in known or any(name in known for name in GPU_LABELS):
        return None
    model = _first("service", known, MODEL_NAMES)
    if model is not None:
        return model
    workload = _first("service", known, WORKLOAD_NAMES)
    if workload is not None and not any(name in known for name in POD_LABELS):
        return workload
    service = _first("service", known, SERVICE_NAMES)
    if service is None or _only_watches(service.name):
        return None
    on_node = _node(known) is not None
    return service if not on_node or any(name in known for name in POD_LABELS) else None


def rack_of(labels: Labels) -> Entity | None:
    """The rack."""
    known = dict(labels.pairs)
    return _first("rack", known, RACK_NAMES) or _by_last_word("rack", known)


def switch_of(labels: Labels) -> Entity | None:
    """The leaf switch by which nodes reach the rest."""
    known = dict(labels.pairs)
    return _first("switch", known, SWITCH_NAMES) or _by_last_word("switch", known)


def cluster_of(labels: Labels) -> Entity | None:
    """The cluster or zone; it carries everything and ties nothing together."""
    return _first("cluster", dict(labels.pairs), CLUSTER_NAMES)


def _node(known: Mapping[str, str]) -> Entity | None:
    node = _first("node", known, NODE_NAMES)
    if node is None and "instance" in known and _is_node_exporter(known):
        return Entity("node", host_of(known["instance"]))
    return node


def _is_node_exporter(known: Mapping[str, str]) -> bool:
    return "node-exporter" in known.get("job", "") or "node_exporter" in known.get("job", "")


def host_of(instance: str) -> str:
    """The host of `host:port`."""
    host, colon, port = instance.rpartition(":")
    return host if colon and port.isdigit() else instance


def _only_watches(name: str) -> bool:
    return any(part in name for part in _WATCHERS)


def _by_last_word(kind: str, known: Mapping[str, str]) -> Entity | None:
    return next((Entity(kind, known[name]) for name in known if name.endswith(f"_{kind}")), None)


def _first(kind: str, known: Mapping[str, str], names: Collection[str]) -> Entity | None:
    for name in names:
        if name in known:
            return Entity(kind, known[name])
    return None
