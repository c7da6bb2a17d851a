"""An incident: the alerts that are one matter, what they are about, and how far it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from incidents.entities import links_of, node_of, subject_of
from model.alert import Alert, Tier, tier_of
from model.labels import Labels, format_fingerprint
from model.moment import format_moment
from model.topology import Entity

CAUSE_ORDER = ("gpu", "node", "rack", "replica", "service")
"""Kinds of subject, the likeliest cause first: what others stand on."""

_MOMENTS = ("opened_at", "changed_at", "resolved_at", "joined_at", "starts_at", "ends_at", "acknowledged_at")

REACH_KINDS = ("node", "gpu", "replica", "service")


@dataclass(frozen=True, slots=True)
class Member:
    """One alert of an incident, and why it belongs there. Times are ms; `ends_at` None while it fires.

    `explained` marks a replica's symptom that a service alert explains: it is here through the service.
    """

    labels: Labels
    annotations: Mapping[str, str]
    entities: frozenset[Entity]
    starts_at: int
    ends_at: int | None
    joined_at: int
    why: str
    generator_url: str = ""
    explained: bool = False

    @property
    def name(self) -> str:
        """The alert's name."""
        return self.labels.value("alertname")

    @property
    def tier(self) -> Tier:
        """The alert's tier."""
        return tier_of(self.labels)

    @property
    def firing(self) -> bool:
        """Whether it has not ended."""
        return self.ends_at is None

    @property
    def links(self) -> frozenset[Entity]:
        """By what it ties others to its incident: a symptom of the whole service says nothing of a place."""
        return frozenset() if self.explained else links_of(self.entities)

    @property
    def subject(self) -> Entity | None:
        """What it is about."""
        return subject_of(self.entities)

    @property
    def title(self) -> str:
        """Name and place, as sentences use them: `GpuLost on GPU 4 of gpu-node-1`."""
        return f"{self.name} on {self.place}" if self.place else self.name

    @property
    def place(self) -> str:
        """The subject in a person's words: nobody knows a GPU by its UUID."""
        subject = self.subject
        if subject is None:
            return ""
        index, node = self.labels.value("gpu"), node_of(self.labels)
        if subject.kind == "gpu" and index and node is not None:
            return f"GPU {index} of {node.name}"
        return str(subject)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "fingerprint": format_fingerprint(self.labels.fingerprint),
            "labels": dict(self.labels),
            "annotations": dict(self.annotations),
            "entities": [[entity.kind, entity.name] for entity in sorted(self.entities)],
            "starts_at": self.starts_at,
            "ends_at": self.ends_at,
            "joined_at": self.joined_at,
            "why": self.why,
            "generator_url": self.generator_url,
            "explained": self.explained,
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Member:
        """The reverse of `document`."""
        return cls(
            labels=Labels(document["labels"]),
            annotations=document["annotations"],
            entities=frozenset(Entity(kind, name) for kind, name in document["entities"]),
            starts_at=document["starts_at"],
            ends_at=document["ends_at"],
            joined_at=document["joined_at"],
            why=document["why"],
            generator_url=document["generator_url"],
            explained=document["explained"],
        )


def member_of(
    alert: Alert, entities: frozenset[Entity], now: int, why: str, explained: bool = False
) -> Member:
    """An alert as it joins an incident at `now`."""
    return Member(
        alert.labels,
        alert.annotations,
        entities,
        alert.starts_at,
        alert.ends_at,
        now,
        why,
        alert.generator_url,
        explained,
    )


@dataclass
class Incident:
    """Alerts by fingerprint, and what follows from them. `resolved_at` is None while it is open (ms).

    `acknowledged_by` has said at `acknowledged_at` (ms) that it is theirs; empty and None while nobody has.
    """

    id: str
    opened_at: int
    changed_at: int
    tier: Tier = Tier.P3
    resolved_at: int | None = None
    members: dict[int, Member] = field(default_factory=dict)
    reach: dict[str, int] = field(default_factory=dict)
    acknowledged_by: str = ""
    acknowledged_at: int | None = None

    @property
    def open(self) -> bool:
        """Whether it is not over."""
        return self.resolved_at is None

    @property
    def firing(self) -> list[Member]:
        """The members that have not ended."""
        return [member for member in self.members.values() if member.firing]

    @property
    def ended_at(self) -> int | None:
        """When the last member ended; None while one fires."""
        ends = [member.ends_at for member in self.members.values()]
        return None if None in ends else max((end for end in ends if end is not None), default=None)

    @property
    def only_services(self) -> bool:
        """Whether nothing in it names a place where a fault could sit."""
        kinds = {entity.kind for member in self.members.values() for entity in member.links}
        return kinds <= {"service"} and bool(kinds)

    @property
    def root(self) -> Member:
        """The member that most likely explains the others: the lowest in the topology, then the earliest.

        Several GPUs of a node at once point at the node, if that complains too.
        """
        gpus = {
            entity for member in self.members.values() for entity in member.entities if entity.kind == "gpu"
        }
        order = ["node", "gpu", *CAUSE_ORDER[2:]] if len(gpus) > 1 else list(CAUSE_ORDER)

        def rank(member: Member) -> tuple[bool, int, int, tuple[tuple[str, str], ...]]:
            subject = member.subject
            depth = order.index(subject.kind) if subject else len(order)
            return member.explained, depth, member.starts_at, member.labels.pairs

        return min(self.members.values(), key=rank)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return self.root.title

    def document(self) -> dict[str, Any]:
        """As JSON for the store, moments in ms; the API shows `readable` of it."""
        return {
            "id": self.id,
            "title": self.title,
            "state": "open" if self.open else "resolved",
            "tier": self.tier.name,
            "opened_at": self.opened_at,
            "changed_at": self.changed_at,
            "resolved_at": self.resolved_at,
            "acknowledged_by": self.acknowledged_by,
            "acknowledged_at": self.acknowledged_at,
            "root": format_fingerprint(self.root.labels.fingerprint),
            "reach": self.reach,
            "members": [member.document() for member in self.members.values()],
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Incident:
        """The reverse of `document`."""
        members = [Member.of_document(member) for member in document["members"]]
        return cls(
            id=document["id"],
            opened_at=document["opened_at"],
            changed_at=document["changed_at"],
            tier=Tier[document["tier"]],
            resolved_at=document["resolved_at"],
            members={member.labels.fingerprint: member for member in members},
            reach={kind: document["reach"][kind] for kind in REACH_KINDS if kind in document["reach"]},
            acknowledged_by=document.get("acknowledged_by", ""),
            acknowledged_at=document.get("acknowledged_at"),
        )


def readable(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of an incident or a member with RFC 3339 moments, as the API shows it."""
    shown = dict(document)
    for key in _MOMENTS:
        if shown.get(key) is not None:
            shown[key] = format_moment(shown[key])
    if "members" in shown:
        shown["members"] = [readable(member) for member in shown["members"]]
    return shown
