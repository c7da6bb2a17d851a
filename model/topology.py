"""Entities of a cluster and how they hang together: cluster > rack > node > GPU > replica > service."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from model.moment import HOUR

KINDS = ("cluster", "rack", "node", "gpu", "replica", "service")

NODE_LABELS = ("node", "Hostname", "hostname", "kubernetes_node")
"""Labels that name a node, the surest first: dcgm-exporter's `Hostname` became `hostname` in 2026."""

GPU_LABELS = ("UUID", "uuid", "gpu_uuid")
"""Labels that hold a GPU's UUID."""

POD_LABELS = ("exported_pod", "pod")
"""Labels that name a pod; `exported_*` is a series' own label where the scrape's would hide it."""


@dataclass(frozen=True, slots=True, order=True)
class Entity:
    """One thing that can fail. `kind` is one of KINDS; a GPU is named by its UUID, a replica by its pod."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Topology:
    """Edges from what carries to what is carried (node -> GPU), each with the last time it was seen.

    An edge outlives its series by `keep` ms: kube_pod_info vanishes just when it is needed.
    """

    def __init__(self, keep: int = HOUR) -> None:
        self.keep = keep
        self._carried: dict[Entity, dict[Entity, int]] = defaultdict(dict)
        self._carriers: dict[Entity, dict[Entity, int]] = defaultdict(dict)

    def observe(self, carrier: Entity, carried: Entity, now: int) -> None:
        """Note that `carrier` carries `carried` at `now` (ms)."""
        self._carried[carrier][carried] = now
        self._carriers[carried][carrier] = now

    def forget(self, now: int) -> None:
        """Drop the edges that nothing has confirmed for `keep` ms."""
        for edges in (self._carried, self._carriers):
            for entity in list(edges):
                fresh = {other: seen for other, seen in edges[entity].items() if now - seen <= self.keep}
                if fresh:
                    edges[entity] = fresh
                else:
                    del edges[entity]

    def carriers(self, entity: Entity) -> set[Entity]:
        """All that `entity` stands on, directly or not: for a replica its GPUs, their node, its rack."""
        return self._reach(entity, self._carriers)

    def carried(self, entity: Entity) -> set[Entity]:
        """All that stands on `entity`, directly or not: for a node its GPUs, replicas and services."""
        return self._reach(entity, self._carried)

    def edges(self) -> Iterator[tuple[Entity, Entity]]:
        """Every (carrier, carried) pair."""
        for carrier, others in self._carried.items():
            for carried in others:
                yield carrier, carried

    @staticmethod
    def _reach(start: Entity, edges: dict[Entity, dict[Entity, int]]) -> set[Entity]:
        found: set[Entity] = set()
        todo = [start]
        while todo:
            for other in edges.get(todo.pop(), ()):
                if other not in found and other != start:
                    found.add(other)
                    todo.append(other)
        return found
