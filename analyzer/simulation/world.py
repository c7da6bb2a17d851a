"""The topology that a history shows: what its alerts say to stand on what, by their labels alone."""

from __future__ import annotations

from collections.abc import Iterable

from incidents.entities import entities_of
from model.labels import Labels
from model.topology import Entity, Topology

_ABOVE = {"rack": ("node",), "node": ("gpu", "replica"), "gpu": ("replica",), "replica": ("service",)}
"""What stands on a thing of each kind; a node carries a replica where no GPU is named."""


def topology_of(label_sets: Iterable[Labels], keep: int, now: int) -> Topology:
    """Every edge that two labels of one alert show, as known from `now` (ms) on, for `keep` ms.

    A running analyzer learns the topology from metrics before anything breaks, so what the whole history
    shows is taken as known at its beginning.
    """
    topology = Topology(keep)
    for labels in set(label_sets):
        for carrier, carried in edges_of_alert(labels):
            topology.observe(carrier, carried, now)
    return topology


def edges_of_alert(labels: Labels) -> list[tuple[Entity, Entity]]:
    """(carrier, carried) pairs, each the next thing up that the labels name."""
    found = {entity.kind: entity for entity in entities_of(labels)}
    edges = []
    for kind, entity in found.items():
        above = next((found[other] for other in _ABOVE.get(kind, ()) if other in found), None)
        if above is not None:
            edges.append((entity, above))
    return edges
