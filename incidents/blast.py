"""How far an incident reaches: the blast radius, and the share of each service that it hits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from incidents.explanation import Explanations
from incidents.incident import REACH_KINDS, Incident
from incidents.member import Member
from model.topology import Entity, Topology

WHOLE = 20
"""Up to so many members all are looked at anew, for edges that have become known; beyond only new ones."""


class Blast:
    """Counts what the members of an incident stand for and carry.

    It never shrinks: edges fade, what was reached stays true.
    """

    def __init__(self, topology: Topology, explanations: Explanations) -> None:
        self._topology = topology
        self._explanations = explanations
        self._reached: dict[str, set[Entity]] = {}
        self._kinds: dict[str, Counter[str]] = {}

    def widen(self, incident: Incident, fresh: Sequence[Member]) -> None:
        """Take in what these members reach."""
        is_small = len(incident.members) <= WHOLE
        reached = self._reached.setdefault(incident.id, set())
        found: set[Entity] = set()
        seen: set[Entity] = set()
        for member in incident.members.values() if is_small else fresh:
            found |= member.entities
            subject = member.subject
            if subject is not None and subject not in seen:
                seen.add(subject)
                found |= self._topology.carried(subject)
        new = found if is_small else found - reached
        reached |= found
        kinds = Counter() if is_small else self._kinds.get(incident.id, Counter())
        kinds.update(entity.kind for entity in (reached if is_small else new) if self._counts(entity))
        self._kinds[incident.id] = kinds
        incident.reach = {
            kind: max(kinds[kind], incident.reach.get(kind, 0))
            for kind in REACH_KINDS
            if kinds[kind] or incident.reach.get(kind)
        }
        for service in [entity for entity in new if entity.kind == "service"]:
            replicas = self._explanations.replicas(service)
            if replicas:
                hit = sum(replica in reached for replica in replicas) / len(replicas)
                incident.share[service.name] = max(round(hit, 4), incident.share.get(service.name, 0.0))

    def forget(self, incident: Incident) -> None:
        """It is over."""
        self._reached.pop(incident.id, None)
        self._kinds.pop(incident.id, None)

    def _counts(self, entity: Entity) -> bool:
        """A pod that serves nothing is no replica, and one with two names is one."""
        if entity.kind != "replica":
            return True
        carriers = {other.kind for other in self._topology.carriers(entity)}
        carried = {other.kind for other in self._topology.carried(entity)}
        return "replica" not in carriers and bool("gpu" in carriers or "service" in carried)
