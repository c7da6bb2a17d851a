"""An incident: the alerts that are one matter, what they are about, and how far it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from incidents.member import Member
from incidents.roles import Role
from model.alert import Tier
from model.labels import format_fingerprint
from model.moment import format_moment

CAUSE_ORDER = ("gpu", "node", "switch", "rack", "cluster", "replica", "service")
"""Kinds of subject, the likeliest cause first: what others stand on."""

_MOMENTS = (
    "opened_at", "changed_at", "resolved_at", "acknowledged_at", "joined_at", "starts_at", "ends_at",
)  # fmt: skip

REACH_KINDS = ("node", "gpu", "replica", "service")


@dataclass(eq=False)
class Incident:
    """Alerts by fingerprint, and what follows from them. `resolved_at` is None while it is open (ms).

    `heads` are the members that nothing explains, `firing_count` counts those that fire, `told` is the most
    urgent tier of which people were told. `share` is the greatest share of each service's replicas that was
    hit. An incident that became part of another has `merged_into`; it shows the members that it had, of which
    the store keeps the root.
    """

    id: str
    opened_at: int
    changed_at: int
    tier: Tier = Tier.P3
    resolved_at: int | None = None
    members: dict[int, Member] = field(default_factory=dict)
    reach: dict[str, int] = field(default_factory=dict)
    share: dict[str, float] = field(default_factory=dict)
    told: Tier | None = None
    merged_into: str = ""
    acknowledged_by: str = ""
    acknowledged_at: int | None = None
    heads: dict[int, Member] = field(default_factory=dict)
    told_members: dict[int, Member] = field(default_factory=dict)
    firing_count: int = 0
    words: str = ""
    _root: Member | None = None

    @property
    def open(self) -> bool:
        """Whether it is not over."""
        return self.resolved_at is None

    @property
    def state(self) -> str:
        """open, acknowledged, resolved or merged."""
        if self.merged_into:
            return "merged"
        if not self.open:
            return "resolved"
        return "acknowledged" if self.acknowledged_by else "open"

    @property
    def firing(self) -> list[Member]:
        """The members that have not ended."""
        return [member for member in self.members.values() if member.firing]

    @property
    def held(self) -> list[Member]:
        """The members of which people were not told."""
        return [member for member in self.members.values() if not member.told]

    @property
    def told_firing(self) -> list[Member]:
        """Those of which people were told and that go on."""
        return [member for member in self.told_members.values() if member.firing]

    @property
    def ended_at(self) -> int | None:
        """When the last member ended; None while one fires."""
        ends = [member.ends_at for member in self.members.values()]
        return None if None in ends else max((end for end in ends if end is not None), default=None)

    def add(self, member: Member) -> None:
        """Take in a member."""
        member.incident = self.id
        self.members[member.fingerprint] = member
        self.firing_count += member.firing
        if member.told:
            self.told_members[member.fingerprint] = member
        self.regard(member)

    def regard(self, member: Member) -> None:
        """The cause of a member was found or is gone."""
        if member.cause:
            self.heads.pop(member.fingerprint, None)
        else:
            self.heads[member.fingerprint] = member
        self._root = None

    @property
    def root(self) -> Member:
        """The member that most likely explains the others: unexplained, the lowest, then the earliest.

        Several GPUs of a node at once point at the node, if that complains too.
        """
        if self._root is None:
            self._root = self._find_root()
        return self._root

    def _find_root(self) -> Member:
        heads = self.heads or self.members
        gpus = {entity for member in heads.values() for entity in member.entities if entity.kind == "gpu"}
        order = ["node", "gpu", *CAUSE_ORDER[2:]] if len(gpus) > 1 else list(CAUSE_ORDER)

        def rank(member: Member) -> tuple[bool, int, int, tuple[tuple[str, str], ...]]:
            subject = member.subject
            depth = order.index(subject.kind) if subject else len(order)
            is_sign = member.sense.role in (Role.SYMPTOM, Role.WATCH)
            return is_sign, depth, member.starts_at, member.labels.pairs

        return min(heads.values(), key=rank)

    @property
    def title(self) -> str:
        """What a person calls it."""
        return self.root.title if self.members else self.words

    def row(self) -> dict[str, Any]:
        """As JSON for the store, moments in ms, without its members."""
        return {
            "id": self.id,
            "title": self.title,
            "state": self.state,
            "tier": self.tier.name,
            "opened_at": self.opened_at,
            "changed_at": self.changed_at,
            "resolved_at": self.resolved_at,
            "root": format_fingerprint(self.root.fingerprint) if self.members else None,
            "reach": self.reach,
            "share": self.share,
            "told": None if self.told is None else self.told.name,
            "merged_into": self.merged_into,
            "acknowledged_by": self.acknowledged_by,
            "acknowledged_at": self.acknowledged_at,
            **({"members": [self.root.document()]} if self.merged_into and self.members else {}),
        }

    def document(self) -> dict[str, Any]:
        """As JSON, moments in ms; the API shows `readable` of it."""
        return {**self.row(), "members": [member.document() for member in self.members.values()]}

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Incident:
        """The reverse of `document`, with the members that stand in it."""
        told = document.get("told")
        incident = cls(
            id=document["id"],
            opened_at=document["opened_at"],
            changed_at=document["changed_at"],
            tier=Tier[document["tier"]],
            resolved_at=document["resolved_at"],
            reach={kind: document["reach"][kind] for kind in REACH_KINDS if kind in document["reach"]},
            share=dict(document.get("share", {})),
            told=Tier[told] if told else None,
            merged_into=document.get("merged_into", ""),
            acknowledged_by=document.get("acknowledged_by", ""),
            acknowledged_at=document.get("acknowledged_at"),
            words=document["title"],
        )
        for member in document.get("members", ()):
            incident.add(Member.of_document(member))
        return incident


def readable(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of an incident or a member with RFC 3339 moments, as the API shows it."""
    shown = dict(document)
    for key in _MOMENTS:
        if shown.get(key) is not None:
            shown[key] = format_moment(shown[key])
    if "members" in shown:
        shown["members"] = [readable(member) for member in shown["members"]]
    return shown
