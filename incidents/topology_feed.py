"""Learns from label sets what stands on what.

| series | edges |
| --- | --- |
| kube_pod_info | node -> replica |
| DCGM_* | node -> GPU, GPU -> replica (its pod) |
| vllm:*, sglang:*, tgi_*, trtllm* | node -> replica, replica -> service, pod -> instance (its other name) |

The edges are kept in the state database: the pod of a lost GPU is gone just when it is asked for,
and a restart in that hour must not forget where it ran.
"""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from incidents.entities import gpu_of, node_of, replica_of, service_of
from incidents.tables import Edge, kept_edges
from model.labels import Labels
from model.moment import MINUTE
from model.topology import Entity, Topology

ENGINES = ("vllm:", "sglang:", "tgi_", "trtllm")

_WRITE_INTERVAL = MINUTE


class TopologyFeed:
    """Feeds a Topology with the edges of the series that exist now; implements Durable."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self._kept = kept_edges()
        self._known: dict[Labels, tuple[Edge, ...]] = {}
        self._forgot_at = 0

    def observe(self, labels: Labels, now: int) -> None:
        """Note the edges that one series shows (labels with its name) as true at `now`."""
        edges = self._known.get(labels)
        if edges is None:
            edges = self._known[labels] = tuple(edges_of(labels))
        for edge in edges:
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


def _pairs(*candidates: tuple[Entity | None, Entity | None]) -> list[Edge]:
    return [
        (carrier, carried)
        for carrier, carried in dict.fromkeys(candidates)
        if carrier is not None and carried is not None and carrier != carried
    ]
