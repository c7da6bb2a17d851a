"""Which alerts are one matter though none explains the other.

- Signals of one GPU or one replica: a fault and its other sign. Symptoms of one service. The same loss, or a
  fault of the same family, told of one thing by two rules; the ports of one switch.
- NVLink errors of two GPUs of a node: a link has two ends.
- Three things of a kind that are lost within a minute on one carrier, and half of what is known there.

Two alerts that are merely on the same node are two matters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple, TypeVar

from incidents.member import Member
from incidents.roles import Role
from model.moment import MINUTE
from model.topology import Entity, Topology

TOGETHER = 3
"""So many things lost on one carrier are the carrier's matter: two may well be two faults."""

AT_ONCE = MINUTE
"""Within so long (ms) of each other."""

Key = TypeVar("Key", str, Entity)

_SIGNALS = (Role.LOSS, Role.FAULT, Role.SYMPTOM)


class Tie(NamedTuple):
    """A member of an open incident that speaks of the same matter, and why."""

    member: Member
    why: str


class Matters:
    """The members of open incidents by what they are about."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._on: defaultdict[Entity, dict[int, Member]] = defaultdict(dict)
        self._nameless: defaultdict[str, dict[int, Member]] = defaultdict(dict)

    def add(self, member: Member) -> None:
        """Its incident is open."""
        subject = member.subject
        if subject is not None:
            self._on[subject][member.fingerprint] = member
        else:
            self._nameless[member.name][member.fingerprint] = member

    def remove(self, member: Member) -> None:
        """Its incident is over."""
        subject = member.subject
        if subject is None:
            _drop(self._nameless, member.name, member)
        else:
            _drop(self._on, subject, member)

    def on(self, entity: Entity) -> list[Member]:
        """The members that are about this thing."""
        there = self._on.get(entity)
        return list(there.values()) if there else []

    def ties(self, member: Member) -> Iterator[Tie]:
        """Members of the same matter; whoever asks takes the first whose incident suits."""
        subject = member.subject
        if subject is None:
            for other in self._nameless.get(member.name, {}).values():
                yield Tie(other, f"{member.name} is open already")
            return
        for other in self._on.get(subject, {}).values():
            # What something else explains is here for that: it ties no other fault to it.
            if not other.explained and is_one_matter(member, other, subject):
                yield Tie(other, f"it is on {subject}, as {other.name} {_state(other)}")
        if subject.kind == "gpu" and member.sense.family == "nvlink":
            yield from self._other_end(member, subject)

    def lost_together(self, member: Member) -> tuple[Entity, list[Member]] | None:
        """The carrier on which this and other things of its kind are lost at once, and those others."""
        subject = member.subject
        if (
            subject is None
            or member.sense.role is not Role.LOSS
            or subject.kind not in ("node", "gpu", "replica")
        ):
            return None
        for carrier in sorted(self._topology.carriers(subject)):
            if carrier.kind not in ("node", "switch", "rack"):
                continue
            peers = [one for one in self._topology.carried(carrier) if one.kind == subject.kind]
            others = [other for peer in peers if peer != subject for other in self._lost(peer, member)]
            things = {other.subject for other in others}
            if len(things) + 1 >= TOGETHER and 2 * (len(things) + 1) >= len(peers):
                return carrier, others
        return None

    def _lost(self, entity: Entity, member: Member) -> Iterator[Member]:
        for other in self._on.get(entity, {}).values():
            is_loss = other.sense.role is Role.LOSS and other.firing and not other.explained
            if is_loss and abs(other.starts_at - member.starts_at) <= AT_ONCE:
                yield other

    def _other_end(self, member: Member, gpu: Entity) -> Iterator[Tie]:
        for node in self._topology.carriers(gpu):
            if node.kind != "node":
                continue
            for other_gpu in self._topology.carried(node):
                if other_gpu.kind != "gpu":
                    continue
                for other in self._on.get(other_gpu, {}).values():
                    if other.sense.family == "nvlink" and other.firing:
                        yield Tie(other, f"a link has two ends, and {other.title} {_state(other)}")


def _drop(index: dict[Key, dict[int, Member]], key: Key, member: Member) -> None:
    there = index.get(key, {})
    there.pop(member.fingerprint, None)
    if not there:
        index.pop(key, None)


def is_one_matter(member: Member, other: Member, subject: Entity) -> bool:
    """Whether two alerts about the same thing are one matter."""
    sense, known = member.sense, other.sense
    if sense.role is Role.WATCH and known.role is Role.WATCH:
        return True
    if sense.role not in _SIGNALS or known.role not in _SIGNALS:
        return False
    if subject.kind in ("gpu", "replica"):
        return True
    if subject.kind == "service":
        return True
    return sense == known and sense.role in (Role.LOSS, Role.FAULT)


def _state(member: Member) -> str:
    return "fires" if member.firing else "fired"
