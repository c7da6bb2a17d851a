"""Which open incident an alert belongs to, and why.

Two alerts are one matter if what they are tied to (a GPU, a replica, a node) is the same thing, or one
stands on the other. A service alone ties an alert only to an incident that has a firing cause under that
service; a cause takes over an incident of which nothing but the service is known yet. Two faults on
different nodes stay two incidents, though one service feels both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from incidents.entities import links_of
from incidents.incident import Incident, Member
from model.topology import Entity, Topology


class Tie(NamedTuple):
    """An incident, and why it is the alert's: a beginning of a sentence, and the entity that ties them."""

    incident: Incident
    because: str
    through: Entity | None = None

    @property
    def why(self) -> str:
        """The whole sentence; it is made for the tie that was chosen only."""
        if self.through is None:
            return self.because
        return f"{self.because} {_example(self.incident, self.through)}"


Index = dict[Entity, dict[str, Incident]]


class OpenIncidents:
    """The open incidents by the entities that their members are tied to."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._tied: Index = defaultdict(dict)
        self._naming: Index = defaultdict(dict)
        self._nameless: dict[str, dict[str, Incident]] = defaultdict(dict)

    def add(self, incident: Incident, member: Member) -> None:
        """Find `incident` through this member from now on."""
        for entity in member.links:
            self._tied[entity][incident.id] = incident
        for entity in member.entities - member.links:
            self._naming[entity][incident.id] = incident
        if not member.links:
            self._nameless[member.name][incident.id] = incident

    def remove(self, incident: Incident) -> None:
        """The incident is over."""
        for member in incident.members.values():
            for entity in member.links:
                self._tied[entity].pop(incident.id, None)
            for entity in member.entities - member.links:
                self._naming[entity].pop(incident.id, None)
            self._nameless[member.name].pop(incident.id, None)

    def tie(self, name: str, entities: frozenset[Entity], changed_since: int) -> Tie | None:
        """The most urgent open incident that an alert of these entities belongs to."""
        links = links_of(entities)
        if not links:
            ties: Iterable[Tie] = (
                Tie(incident, f"{name} is open already") for incident in self._nameless.get(name, {}).values()
            )
        elif all(entity.kind == "service" for entity in links):
            ties = self._ties_of_service(links)
        else:
            ties = self._ties_of_cause(links, entities)
        recent = [tie for tie in ties if tie.incident.changed_at >= changed_since]
        return min(recent, key=_urgency, default=None)

    def _ties_of_cause(self, links: frozenset[Entity], entities: frozenset[Entity]) -> Iterator[Tie]:
        for link in sorted(links):
            for incident in self._tied.get(link, {}).values():
                yield Tie(incident, f"it is on {link}, as", link)
            for below in sorted(self._topology.carriers(link)):
                for incident in self._tied.get(below, {}).values():
                    yield Tie(incident, f"{link} stands on {below}, where", below)
            for above in sorted(self._topology.carried(link)):
                yield from self._ties_above(link, above)
        for service in sorted(entity for entity in entities if entity.kind == "service"):
            yield from self._ties_above(min(links), service)

    def _ties_above(self, link: Entity, above: Entity) -> Iterator[Tie]:
        for incident in self._tied.get(above, {}).values():
            # Through a service all its replicas would meet: only who comes first explains it.
            if above.kind != "service" or incident.only_services:
                yield Tie(incident, f"{link} carries {above}, where", above)

    def _ties_of_service(self, services: frozenset[Entity]) -> Iterator[Tie]:
        for service in sorted(services):
            for incident in self._tied.get(service, {}).values():
                yield Tie(incident, f"it is on {service}, as", service)
            for below in sorted(self._topology.carriers(service)):
                for incident in self._tied.get(below, {}).values():
                    if any(member.firing and below in member.links for member in incident.members.values()):
                        yield Tie(incident, f"{service} is served by {below}, where", below)
            for incident in self._naming.get(service, {}).values():
                if any(member.firing and service in member.entities for member in incident.members.values()):
                    yield Tie(incident, f"{service} is what {incident.title} serves")


def _example(incident: Incident, entity: Entity) -> str:
    """The member by which the incident is tied to an entity, in words."""
    tied = [member for member in incident.members.values() if entity in member.links]
    tied.sort(key=lambda member: (not member.firing, member.starts_at, member.labels.pairs))
    state = "fires" if tied[0].firing else "fired"
    return f"{tied[0].name} {state}"


def _urgency(tie: Tie) -> tuple[int, int, str]:
    incident = tie.incident
    return incident.tier, incident.opened_at, incident.id
