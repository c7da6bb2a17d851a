"""One thing under several names: pods of equal name, GPUs by index, targets by the host that they are on."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from incidents.entities import NAMESPACES, NODE_NAMES, WORKLOAD_NAMES, entities_of, host_of
from model.labels import Labels
from model.topology import GPU_LABELS, POD_LABELS, Entity


class Names:
    """Learns which names mean the same.

    - A pod is known by its bare name; where a second namespace has one of that name, that one is
      `namespace/pod`.
    - A GPU that is given by node and index is the one whose UUID was seen at that place.
    - A target is on the node that its host is called like (also by the first part of a full name), or with
      which it was seen in one label set.

    `version` changes whenever a thing may be known by another name than before.
    """

    def __init__(self) -> None:
        self.version = 0
        self._owner: dict[str, str] = {}
        self._uuids: dict[str, Entity] = {}
        self._nodes: dict[str, Entity] = {}
        self._homeless: defaultdict[str, set[Entity]] = defaultdict(set)
        self._pods: defaultdict[str, set[Entity]] = defaultdict(set)
        self._named_workloads: set[str] = set()
        self._by_index: set[str] = set()

    def entities(self, labels: Labels) -> frozenset[Entity]:
        """What the labels name, each thing under the one name by which it is known."""
        found = entities_of(labels)
        renamed = {
            entity: self.known_as(entity, labels)
            for entity in found
            if entity.kind in ("replica", "gpu", "node")
        }
        if all(entity == other for entity, other in renamed.items()):
            return found
        return frozenset([renamed.get(entity, entity) for entity in found])

    def known_as(self, entity: Entity, labels: Labels) -> Entity:
        """The one name of a thing that these labels name so."""
        if entity.kind == "node":
            return self._nodes.get(entity.name, entity)
        if entity.kind == "gpu":
            if not any(labels.value(name) for name in GPU_LABELS):
                self._by_index.add(entity.name)
            return self._uuids.get(entity.name, entity)
        namespace = next((labels.value(name) for name in NAMESPACES if labels.value(name)), "")
        is_pod = any(labels.value(name) == entity.name for name in POD_LABELS)
        if entity.kind != "replica" or not namespace or not is_pod:
            return entity
        owner = self._owner.get(entity.name)
        if owner is None:
            owner = self._owner[entity.name] = namespace
            self.version += 1
        return entity if owner == namespace else Entity("replica", f"{namespace}/{entity.name}")

    def learn(self, labels: Labels, entities: frozenset[Entity]) -> Iterator[tuple[Entity, Entity]]:
        """Take note of the names in one label set; yields edges (carrier, carried) that follow from them."""
        yield from self._workloads(labels, entities)
        node = next((entity for entity in entities if entity.kind == "node"), None)
        if node is not None:
            yield from self._settle(node.name, node)
            yield from self._learn_gpu(labels, node, entities)
        instance = labels.value("instance")
        if not instance:
            return
        host = host_of(instance)
        target = Entity("replica", instance)
        if target in entities:
            home = self._nodes.get(host) or self._nodes.get(host.split(".")[0])
            if home is not None:
                yield home, target
            else:
                self._homeless[host].add(target)
        elif node is not None and _is_own_target(labels):
            yield from self._settle(host, node)

    def _workloads(self, labels: Labels, entities: frozenset[Entity]) -> Iterator[tuple[Entity, Entity]]:
        """Pods of workloads that an alert has named; of no others, for they are services to nobody."""
        for entity in entities:
            owner = workload_of(entity.name) if entity.kind == "replica" else ""
            if owner:
                self._pods[owner].add(entity)
                if owner in self._named_workloads:
                    yield entity, Entity("service", owner)
            elif entity.kind == "service" and any(labels.value(name) for name in WORKLOAD_NAMES):
                self._named_workloads.add(entity.name)
                for pod in self._pods[entity.name]:
                    yield pod, entity

    def _settle(self, host: str, node: Entity) -> Iterator[tuple[Entity, Entity]]:
        if host in self._nodes:
            return
        self._nodes[host] = node
        self.version += 1
        for other in [other for other in self._homeless if host in (other, other.split(".")[0])]:
            for target in self._homeless.pop(other):
                yield node, target

    def _learn_gpu(
        self, labels: Labels, node: Entity, entities: frozenset[Entity]
    ) -> Iterator[tuple[Entity, Entity]]:
        index = labels.value("gpu")
        if not index or not any(labels.value(name) for name in GPU_LABELS):
            return
        place = f"{node.name}/{index}"
        gpu = next(entity for entity in entities if entity.kind == "gpu")
        if place not in self._uuids:
            self._uuids[place] = gpu
            self.version += 1
            if place not in self._by_index:
                return
            by_index = Entity("gpu", place)
            yield gpu, by_index  # what was said of the place before its UUID was known
            yield by_index, gpu


_OWNED = re.compile(r"(.+)-(?:[0-9a-z]{6,10}-[0-9a-z]{5}|\d{1,4})")


def workload_of(pod: str) -> str:
    """The Deployment or StatefulSet of a pod by the way Kubernetes names pods; empty for any other name.

    >>> workload_of("chat-7d9f8c6b5-xk2p9"), workload_of("vllm-17"), workload_of("10.0.0.1:8000")
    ('chat', 'vllm', '')
    """
    found = _OWNED.fullmatch(pod)
    return found[1] if found else ""


def _is_own_target(labels: Labels) -> bool:
    """Whether `instance` is on the node that is named: kube-state-metrics speaks of every node."""
    by_kubernetes = told_by_kubernetes(labels) or "kube" in labels.value("job")
    return not by_kubernetes and any(labels.value(name) for name in NODE_NAMES)


def told_by_kubernetes(labels: Labels) -> bool:
    """Whether the name of the alert says so."""
    return labels.value("alertname").startswith("Kube")
