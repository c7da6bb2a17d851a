"""An incident: the alerts that are one matter, what they are about, and how far it reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from incidents.member import Member
from incidents.roles import Role
from model.alert import Tier
from model.labels import format_fingerprint
from model.moment import format_moment
from model.topology import Entity

CAUSE_ORDER = ("gpu", "node", "switch", "rack", "cluster", "replica", "service")
"""Kinds of subject, the likeliest cause first: what others stand on."""

_MANY_GPUS = ("node", "gpu", *CAUSE_ORDER[2:])

_MOMENTS = (
    "opened_at", "changed_at", "resolved_at", "acknowledged_at", "joined_at", "starts_at", "ends_at",
)  # fmt: skip

REACH_KINDS = ("node", "gpu", "replica", "service")


@dataclass(eq=False)
class Incident:
    """Alerts by fingerprint, and what follows from them. `resolved_at` is None while it is open (ms).

    `heads` are the members that nothing explains, `firing_count` counts those that fire, `told` is the most
    urgent tier of which people were told, `told_firing` those of `told_members` that go on. `share` is the
    greatest share of each service's replicas that was hit. An incident that became part of another has
    `merged_into`; it shows the members that it had, of which the store keeps the root.
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
    told_firing: dict[int, Member] = field(default_factory=dict)
    firing_count: int = 0
    words: str = ""
    _told_about: dict[Entity | None, dict[int, Member]] = field(default_factory=dict)
    _root: Member | None = None
    _gpus: set[Entity] = field(default_factory=set)

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
            self.note_told(member)
        self.regard(member)

    def note_told(self, member: Member) -> None:
        """People were told of a member."""
        self.told_members[member.fingerprint] = member
        if member.firing:
            self.told_firing[member.fingerprint] = member
        self._told_about.setdefault(member.subject, {})[member.fingerprint] = member

    def ended(self, member: Member) -> None:
        """A member fires no more."""
        self.firing_count -= 1
        self.told_firing.pop(member.fingerprint, None)

    def returned(self, member: Member) -> None:
        """A member fires again."""
        self.firing_count += 1
        if member.told:
            self.told_firing[member.fingerprint] = member

    def told_kin(self, member: Member, may_be_cause: bool) -> Iterator[Member]:
        """Those told whose readers know of this one: the same thing, its symptom, or one of the many."""
        # Two disks of one node, two rooms: one matter by the name alone, and each is told.
        if member.subject is not None and member.sense.role is not Role.OTHER:
            about = self._told_about.get(member.subject, {}).values()
            yield from (told for told in about if told.name != member.name)
        if member.gathered or may_be_cause:
            for told in self.told_members.values():
                if told.cause == member.fingerprint or (member.gathered and told.gathered):
                    yield told

    def forget_told(self) -> None:
        """What people were told is told under another incident from now on."""
        self.told_members.clear()
        self.told_firing.clear()
        self._told_about.clear()

    def regard(self, member: Member) -> None:
        """The cause of a member was found or is gone."""
        if member.cause:
            if self.heads.pop(member.fingerprint, None) is not None or not self.heads:
                self._root = None
            return
        if not self.heads:  # the root was chosen among all members, perhaps this one
            self._root = None
        self.heads[member.fingerprint] = member
        root, gpus = self._root, len(self._gpus)
        self._gpus.update(_gpus_of(member))
        if root is None or (gpus > 1) != (len(self._gpus) > 1):
            self._root = None
        elif _rank(member, gpus > 1) < _rank(root, gpus > 1):
            self._root = member

    @property
    def root(self) -> Member:
        """The member that most likely explains the others: unexplained, the lowest, then the earliest.

        Several GPUs of a node at once point at the node, if that complains too.
        """
        if self._root is None:
            heads = (self.heads or self.members).values()
            self._gpus = {gpu for member in heads for gpu in _gpus_of(member)}
            has_many = len(self._gpus) > 1
            self._root = min(heads, key=lambda member: _rank(member, has_many))
        return self._root

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


def _gpus_of(member: Member) -> list[Entity]:
    return [entity for entity in member.entities if entity.kind == "gpu"]


def _rank(member: Member, has_many_gpus: bool) -> tuple[bool, int, int, tuple[tuple[str, str], ...]]:
    order = _MANY_GPUS if has_many_gpus else CAUSE_ORDER
    subject = member.subject
    depth = order.index(subject.kind) if subject else len(order)
    is_sign = member.sense.role in (Role.SYMPTOM, Role.WATCH)
    return is_sign, depth, member.starts_at, member.labels.pairs


def readable(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of an incident or a member with RFC 3339 moments, as the API shows it."""
    shown = dict(document)
    for key in _MOMENTS:
        if shown.get(key) is not None:
            shown[key] = format_moment(shown[key])
    if "members" in shown:
        shown["members"] = [readable(member) for member in shown["members"]]
    return shown
