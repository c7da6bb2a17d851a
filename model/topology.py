"""Entities of a cluster and how they hang together.

cluster > rack > leaf switch > node > GPU > replica > service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from model.moment import HOUR

KINDS = ("cluster", "rack", "switch", "node", "gpu", "replica", "service")

NODE_LABELS = ("node", "Hostname", "hostname", "kubernetes_node")
"""Labels that name a node, the surest first: dcgm-exporter's `Hostname` became `hostname` in 2026."""

GPU_LABELS = ("UUID", "uuid", "gpu_uuid")
"""Labels that hold a GPU's UUID."""

POD_LABELS = ("exported_pod", "pod")
"""Labels that name a pod; `exported_*` is a series' own label where the scrape's would hide it."""


class Entity(NamedTuple):
    """One thing that can fail. `kind` is one of KINDS; a GPU is named by its UUID, a replica by its pod."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


class Topology:
    """Edges from what carries to what is carried (node -> GPU), each with the last time it was seen.

    An edge outlives its series by `keep` ms: kube_pod_info vanishes just when it is needed. What stands on
    what is asked far more often than it changes, so answers are kept until an edge near them is new or gone.
    """

    def __init__(self, keep: int = HOUR) -> None:
        self.keep = keep
        self._carried: dict[Entity, dict[Entity, int]] = {}
        self._carriers: dict[Entity, dict[Entity, int]] = {}
        self._below: dict[Entity, frozenset[Entity]] = {}
        self._above: dict[Entity, frozenset[Entity]] = {}
        self._news: dict[Entity, None] = {}

    def observe(self, carrier: Entity, carried: Entity, now: int) -> None:
        """Note that `carrier` carries `carried` at `now` (ms)."""
        others = self._carried.setdefault(carrier, {})
        is_news = carried not in others
        others[carried] = now
        self._carriers.setdefault(carried, {})[carrier] = now
        if is_news:
            self._news[carried] = None
            self._below.pop(carried, None)
            if carried in self._carried:
                for entity in self._reach(carried, self._carried):
                    self._below.pop(entity, None)
            self._above.pop(carrier, None)
            if carrier in self._carriers:
                for entity in self._reach(carrier, self._carriers):
                    self._above.pop(entity, None)

    def news(self) -> list[Entity]:
        """What has got another carrier since this was asked last."""
        found = list(self._news)
        self._news.clear()
        return found

    def forget(self, now: int) -> None:
        """Drop the edges that nothing has confirmed for `keep` ms."""
        gone = False
        for edges in (self._carried, self._carriers):
            for entity in list(edges):
                fresh = {other: seen for other, seen in edges[entity].items() if now - seen <= self.keep}
                gone = gone or len(fresh) < len(edges[entity])
                if fresh:
                    edges[entity] = fresh
                else:
                    del edges[entity]
        if gone:
            self._below.clear()
            self._above.clear()

    def carriers(self, entity: Entity) -> frozenset[Entity]:
        """All that `entity` stands on, directly or not: for a replica its GPUs, their node, its rack."""
        found = self._below.get(entity)
        if found is None:
            found = self._below[entity] = frozenset(self._reach(entity, self._carriers))
        return found

    def carried(self, entity: Entity) -> frozenset[Entity]:
        """All that stands on `entity`, directly or not: for a node its GPUs, replicas and services."""
        found = self._above.get(entity)
        if found is None:
            found = self._above[entity] = frozenset(self._reach(entity, self._carried))
        return found

    def edges(self) -> Iterator[tuple[Entity, Entity]]:
        """Every (carrier, carried) pair."""
        for carrier, others in self._carried.items():
            for carried in others:
                yield carrier, carried

    @staticmethod
    def _reach(start: Entity, edges: Mapping[Entity, Mapping[Entity, int]]) -> set[Entity]:
        found: set[Entity] = set()
        todo = [start]
        while todo:
            for other in edges.get(todo.pop(), ()):
                if other not in found and other != start:
                    found.add(other)
                    todo.append(other)
        return found
