"""Which open incident an alert belongs to, and why.

Two alerts are one matter if what they are tied to (a GPU, a replica, a node) is the same thing, or one
stands on the other. A service alone ties an alert only to an incident that has a firing cause under that
service; a cause takes over an incident of which nothing but the service is known yet. Two faults on
different nodes stay two incidents, though one service feels both.

What a rule says to explain (`explains` beside a rule file) goes further for symptoms: while an overload of
the service fires, a queue on one of its replicas is the same matter, unless a fault beneath it is known.
Such a symptom ties nothing else to the incident.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from incidents.entities import links_of
from incidents.incident import Incident, Member
from model.topology import Entity, Topology


class Tie(NamedTuple):
    """An incident, and why it is the alert's: a beginning of a sentence, and the entity that ties them."""

    incident: Incident
    because: str
    through: Entity | None = None
    explained: bool = False

    @property
    def why(self) -> str:
        """The whole sentence; it is made for the tie that was chosen only."""
        if self.through is None:
            return self.because
        return f"{self.because} {_example(self.incident, self.through)}"


Explains = Mapping[str, Collection[str]]
"""The name of an alert and the names of the alerts that it explains."""

Index = dict[Entity, dict[str, Incident]]


class OpenIncidents:
    """The open incidents by the entities that their members are tied to."""

    def __init__(self, topology: Topology, explains: Explains) -> None:
        self._topology = topology
        self._explains = explains
        self._tied: Index = defaultdict(dict)
        self._naming: Index = defaultdict(dict)
        self._nameless: dict[str, dict[str, Incident]] = defaultdict(dict)

    def add(self, incident: Incident, member: Member) -> None:
        """Find `incident` through this member from now on."""
        for entity in member.links:
            self._tied[entity][incident.id] = incident
        for entity in member.entities - member.links:
            self._naming[entity][incident.id] = incident
        if not member.entities:
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
        for ties in self._kinds_of_ties(name, links, entities):
            recent = [tie for tie in ties if tie.incident.changed_at >= changed_since]
            if recent:
                return min(recent, key=_urgency)
        return None

    def _kinds_of_ties(
        self, name: str, links: frozenset[Entity], entities: frozenset[Entity]
    ) -> Iterator[Iterable[Tie]]:
        """The strongest first; a weaker kind is looked at only where the stronger finds nothing."""
        if not links:
            yield [Tie(found, f"{name} is open already") for found in self._nameless.get(name, {}).values()]
        elif all(entity.kind == "service" for entity in links):
            yield self._ties_of_service(links)
        else:
            services = {entity for link in links for entity in self._topology.carried(link)} | entities
            above = sorted(entity for entity in services if entity.kind == "service")
            yield self._ties_of_place(links)
            yield self._ties_of_symptom(name, above)
            yield self._ties_of_cause(min(links), above)

    def _ties_of_place(self, links: frozenset[Entity]) -> Iterator[Tie]:
        for link in sorted(links):
            for incident in self._tied.get(link, {}).values():
                yield Tie(incident, f"it is on {link}, as", link)
            for below in sorted(self._topology.carriers(link)):
                for incident in self._tied.get(below, {}).values():
                    yield Tie(incident, f"{link} stands on {below}, where", below)
            for above in sorted(self._topology.carried(link)):
                if above.kind != "service":
                    for incident in self._tied.get(above, {}).values():
                        yield Tie(incident, f"{link} carries {above}, where", above)

    def _ties_of_symptom(self, name: str, services: Iterable[Entity]) -> Iterator[Tie]:
        for service in services:
            for incident in self._tied.get(service, {}).values():
                for member in incident.members.values():
                    explains = name in self._explains.get(member.name, ())
                    if explains and member.firing and service in member.links:
                        yield Tie(incident, f"{member.title} explains it", explained=True)

    def _ties_of_cause(self, link: Entity, services: Iterable[Entity]) -> Iterator[Tie]:
        for service in services:
            for incident in self._tied.get(service, {}).values():
                # Through a service all its replicas would meet: only who comes first explains it.
                if incident.only_services:
                    yield Tie(incident, f"{link} carries {service}, where", service)

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
