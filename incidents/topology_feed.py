"""Learns from label sets what stands on what.

| series or alert | edges |
| --- | --- |
| kube_pod_info | node -> replica |
| DCGM_* | node -> GPU, GPU -> replica (its pod) |
| vllm:*, sglang:*, tgi_*, trtllm* | node -> replica, replica -> service, pod -> instance (its other name) |
| an alert, wherever it comes from | cluster -> rack -> switch -> node -> GPU -> replica -> service |

The edges are kept in the state database: the pod of a lost GPU is gone just when it is asked for,
and a restart in that hour must not forget where it ran.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection

from incidents.entities import Identity, cluster_of, gpu_of, identity_of, node_of, replica_of, service_of
from incidents.names import Names, told_by_kubernetes
from incidents.tables import Edge, kept_edges
from model.labels import Labels
from model.moment import MINUTE
from model.topology import Entity, Topology

ENGINES = ("vllm:", "sglang:", "tgi_", "trtllm")

_WRITE_INTERVAL = MINUTE


class _Shown(NamedTuple):
    """What the alerts of one identity speak of, noted at `at` (ms), by the names of then."""

    at: int
    version: int
    entities: frozenset[Entity]


class TopologyFeed:
    """Feeds a Topology with the edges of the series that exist now; implements Durable."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._kept = kept_edges()
        self._known: dict[Labels, tuple[Edge, ...]] = {}
        self._shown: dict[tuple[Identity, bool], _Shown] = {}
        self._names = Names()
        self._forgot_at = 0

    def observe(self, labels: Labels, now: int) -> None:
        """Note the edges that one series shows (labels with its name) as true at `now`."""
        edges = self._known.get(labels)
        if edges is None:
            edges = self._known[labels] = self._named(labels)
        for edge in edges:
            self._note(edge, now)

    def observe_alert(self, labels: Labels, now: int) -> frozenset[Entity]:
        """What an alert speaks of, with the edges that it shows noted as true at `now`.

        An alert that names nothing but its cluster speaks of that.
        """
        identity = identity_of(labels), told_by_kubernetes(labels)
        shown = self._shown.get(identity)
        if shown is not None and shown.version == self._names.version and now - shown.at < _WRITE_INTERVAL:
            return shown.entities
        entities, cluster = self._names.entities(labels), cluster_of(labels)
        speaks_of = entities or frozenset(() if cluster is None else (cluster,))
        at = now
        if shown is not None and now - shown.at < _WRITE_INTERVAL and speaks_of == shown.entities:
            at = shown.at
        elif entities:
            for edge in _edges_between(entities, cluster):
                self._note(edge, now)
            for edge in self._names.learn(labels, entities):
                self._note(edge, now)
            self._note_rack_of_switch(entities, now)
        self._shown[identity] = _Shown(at, self._names.version, speaks_of)
        return speaks_of

    def _note_rack_of_switch(self, entities: frozenset[Entity], now: int) -> None:
        """A switch of which no node is known but the rack serves the nodes of that rack."""
        there = {entity.kind: entity for entity in entities}
        if "node" in there or not {"switch", "rack"} <= there.keys():
            return
        if not any(entity.kind == "node" for entity in self.topology.carried(there["switch"])):
            self._note((there["switch"], there["rack"]), now)

    def _named(self, labels: Labels) -> tuple[Edge, ...]:
        def known_as(entity: Entity) -> Entity:
            return self._names.known_as(entity, labels)

        edges = [(known_as(carrier), known_as(carried)) for carrier, carried in edges_of(labels)]
        return (*edges, *self._names.learn(labels, self._names.entities(labels)))

    def _note(self, edge: Edge, now: int) -> None:
        self.topology.observe(*edge, now)
        # Written once a minute: a second more or less of an hour's memory does not matter.
        if now - self._kept.get(edge, 0) >= _WRITE_INTERVAL:
            self._kept[edge] = now

    def observe_all(self, series: Iterable[Labels], now: int) -> None:
        """`observe` for many; then lets go of the edges that nobody has confirmed for too long."""
        for labels in series:
            self.observe(labels, now)
        if now - self._forgot_at >= _WRITE_INTERVAL:
            self.forget(now)

    def forget(self, now: int) -> None:
        """Drop what is too old, here and in the store."""
        self._forgot_at = now
        self.topology.forget(now)
        alive = set(self.topology.edges())
        for edge in [edge for edge in self._kept if edge not in alive]:
            del self._kept[edge]
        if len(self._known) > 4 * len(alive) + 10_000:  # series come and go; their edges are cheap to find
            self._known.clear()
        if len(self._shown) > 4 * len(alive) + 10_000:
            self._shown.clear()

    @property
    def dirty(self) -> bool:
        """Whether an edge is not on disk yet."""
        return self._kept.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Take over the edges that were known, each with the moment at which it was last seen."""
        self._kept.load(tx)
        for edge, seen in self._kept.items():
            self.topology.observe(*edge, seen)
        self.forget(now)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._kept.save(tx)

    def saved(self) -> None:
        """The commit succeeded."""
        self._kept.saved()


def edges_of(labels: Labels) -> list[Edge]:
    """(carrier, carried) pairs that a series shows by its labels."""
    node, gpu, replica = node_of(labels), gpu_of(labels), replica_of(labels)
    if labels.name == "kube_pod_info":
        return _pairs((node, replica))
    if labels.name.startswith("DCGM_"):
        return _pairs((node, gpu), (gpu, replica) if gpu else (node, replica))
    if labels.name.startswith(ENGINES):
        instance = Entity("replica", labels["instance"]) if "instance" in labels else None
        service = service_of(labels)
        return _pairs((node, replica), (replica, service), (replica, instance), (instance, service))
    return []


_STANDS_ON = {
    "node": ("switch", "rack", "cluster"),
    "switch": ("rack", "cluster"),
    "rack": ("cluster",),
    "gpu": ("node",),
    "replica": ("gpu", "node"),
    "service": ("replica",),
}
"""For each kind what it stands on, the nearest first; an alert shows an edge to the nearest that it names."""


@lru_cache(maxsize=65_536)
def _edges_between(entities: frozenset[Entity], cluster: Entity | None) -> tuple[Edge, ...]:
    there = {entity.kind: entity for entity in entities}
    if cluster is not None:
        there["cluster"] = cluster
    edges = []
    for kind, carriers in _STANDS_ON.items():
        carrier = next((there[other] for other in carriers if other in there), None)
        if kind in there and carrier is not None:
            edges.append((carrier, there[kind]))
    if {"rack", "switch", "node"} <= there.keys():
        edges.append((there["rack"], there["node"]))
    return tuple(edges)


def _pairs(*candidates: tuple[Entity | None, Entity | None]) -> list[Edge]:
    return [
        (carrier, carried)
        for carrier, carried in dict.fromkeys(candidates)
        if carrier is not None and carried is not None and carrier != carried
    ]
