"""Which alerts are one matter though none explains the other.

- Signals of one GPU or one replica: a fault and its other sign. Symptoms of one service. The same loss, or a
  fault of the same family, told of one thing by two rules; the ports of one switch.
- NVLink errors of two GPUs of a node: a link has two ends.
- Three things on one node, rack or switch that are lost, or say the same, within a minute, if that is half of
  the nodes that are known there; the same symptom on three replicas of a service, and a quarter of them.

Two alerts that are merely on the same node are two matters.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from heapq import merge
from itertools import chain, islice
from typing import NamedTuple

from incidents.member import Member
from incidents.roles import Role, sense_of
from model.moment import MINUTE
from model.topology import Entity, Topology

TOGETHER = 3
"""So many things on one carrier at once are the carrier's matter: two may well be two faults."""

PART = {"node": 0.5, "replica": 0.25}
"""This part of the nodes of a rack or switch, of the replicas of a service that are known."""

FEW = 8
"""So many names of replicas a service may have, pods and addresses, for the loss of one to be felt by all."""

AT_ONCE = MINUTE
"""Within so long (ms) of each other."""

Alike = dict[int, Member]
"""Alerts of one name about one thing, by fingerprint, in the order in which they came."""

ENOUGH = 16
"""So many others are looked at: those that came before are one incident by then."""

LATELY = 64
"""So many alerts of a name are looked at for having begun at once."""

_SIGNALS = (Role.LOSS, Role.FAULT, Role.SYMPTOM)


class Tie(NamedTuple):
    """A member of an open incident that speaks of the same matter, and why.

    `is_one_thing`: who was told of one was told of the other.
    """

    member: Member
    why: str
    is_one_thing: bool = False


class Matters:
    """The members of open incidents by what they are about."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._on: dict[Entity, dict[str, Alike]] = {}
        self._called: dict[str, dict[Entity, Alike]] = {}
        self._nameless: defaultdict[str, Alike] = defaultdict(dict)
        self._crowds: dict[tuple[Entity, str], Member] = {}
        self._lately: dict[str, deque[Member]] = {}

    def add(self, member: Member) -> None:
        """Its incident is open."""
        subject = member.subject
        if subject is None:
            self._nameless[member.name][member.fingerprint] = member
            return
        there = self._on.setdefault(subject, {})
        alike = there.get(member.name)
        if alike is None:
            alike = there[member.name] = {}
            self._called.setdefault(member.name, {})[subject] = alike
        alike[member.fingerprint] = member

    def remove(self, member: Member) -> None:
        """Its incident is over."""
        subject = member.subject
        if subject is None:
            alike = self._nameless.get(member.name, {})
            alike.pop(member.fingerprint, None)
            if not alike:
                self._nameless.pop(member.name, None)
            return
        self._remove_from(subject, member)
        for carrier in self._topology.carriers(subject):
            if self._crowds.get((carrier, member.name)) is member:
                del self._crowds[carrier, member.name]

    def _remove_from(self, subject: Entity, member: Member) -> None:
        there = self._on.get(subject, {})
        alike = there.get(member.name, {})
        alike.pop(member.fingerprint, None)
        if alike or member.name not in there:
            return
        del there[member.name], self._called[member.name][subject]
        if not there:
            del self._on[subject]
        if not self._called[member.name]:
            del self._called[member.name]

    def on(self, entity: Entity) -> list[Member]:
        """The members that are about this thing."""
        there = self._on.get(entity)
        return [member for alike in there.values() for member in alike.values()] if there else []

    def at_once(self, member: Member) -> list[Member]:
        """Other things of which the same was said within AT_ONCE, and that nothing explains.

        What is known to hang elsewhere does not count: two racks are two matters.
        """
        if member.subject is None or member.sense.role not in (*_SIGNALS, Role.WATCH):
            return []
        lately = self._lately.setdefault(member.name, deque(maxlen=LATELY))
        found = [
            other
            for other in lately
            if other.firing and not other.explained and abs(other.starts_at - member.starts_at) <= AT_ONCE
        ]
        lately.append(member)
        mine = self._hangs_on(member) if found else frozenset()
        if not mine:
            return found
        places = [(other, self._hangs_on(other)) for other in found]
        return [other for other, theirs in places if not theirs or mine & theirs]

    def of_service(self, member: Member, others: Iterable[Member]) -> list[Member]:
        """Those of the others that are replicas of the same service, where nobody has said on which nodes.

        What has taken one with it has taken the other: they are told in one message.
        """
        subject = member.subject
        if subject is None or subject.kind != "replica" or self._within(member, "node"):
            return []
        mine = {one for one in self._topology.carried(subject) if one.kind == "service"}
        return [
            other
            for other in others
            if other.subject is not None
            and not self._within(other, "node")
            and not mine.isdisjoint(self._topology.carried(other.subject))
        ]

    def _hangs_on(self, member: Member) -> frozenset[Entity]:
        subject = member.subject
        carriers = self._topology.carriers(subject) if subject is not None else frozenset()
        return frozenset(one for one in (*carriers, *member.entities) if one.kind in ("switch", "rack"))

    def ties(self, member: Member) -> Iterator[Tie]:
        """Members of the same matter; whoever asks takes the first whose incident suits."""
        subject = member.subject
        if subject is None:
            for other in self._nameless.get(member.name, {}).values():
                yield Tie(other, f"{member.name} is open already")
            return
        for other in self._of_one_matter(member, subject):
            # What something else explains is here for that: it ties no other fault to it.
            if not other.explained:
                yield Tie(other, f"it is on {subject}, as {other.name} {_state(other)}")
        if subject.kind == "gpu" and member.sense.family == "nvlink":
            yield from self._other_end(member, subject)
        if member.sense.role is Role.SYMPTOM:
            yield from self._of_service(subject, member.sense.family)

    def _of_service(self, subject: Entity, family: str) -> Iterator[Tie]:
        """A service and what carries it are slow together; who is told of one is told of the other, too."""
        if subject.kind in ("gpu", "replica"):
            near = [one for one in self._topology.carried(subject) if one.kind in ("replica", "service")]
        elif subject.kind == "service":
            near = [one for one in self._topology.carriers(subject) if one.kind == "replica"]
        else:
            return
        for place in sorted(near):
            for alike in self._on.get(place, {}).values():
                other = next(iter(alike.values()))
                if other.sense.role is Role.SYMPTOM and other.firing and not other.explained:
                    yield Tie(other, f"{place} is in trouble as well: {other.name} {_state(other)}")
        for service in near if subject.kind != "service" and family == "load" else ():
            if service.kind == "service":
                yield from self._strained(service)

    def _strained(self, service: Entity) -> Iterator[Tie]:
        """Of few replicas one that is lost is a load on the others."""
        replicas = [one for one in self._topology.carriers(service) if one.kind == "replica"]
        for replica in sorted(replicas) if len(replicas) <= FEW else ():
            for alike in self._on.get(replica, {}).values():
                other = next(iter(alike.values()))
                if other.sense.role is Role.LOSS and other.firing:
                    yield Tie(other, f"{other.title} {_state(other)}, and {service} has few replicas")

    def _of_one_matter(self, member: Member, subject: Entity) -> Iterable[Member]:
        """Those that were admitted first come first; what an alert is depends on its name alone."""
        fitting = [
            alike.values()
            for name, alike in self._on.get(subject, {}).items()
            if are_one_matter(member.name, name, subject.kind)
        ]
        return merge(*fitting, key=_joined_at) if len(fitting) > 1 else chain(*fitting)

    def together(self, member: Member) -> tuple[Entity, list[Member]] | None:
        """The carrier or service on which many things say the same at once, and the others that say it."""
        subject = member.subject
        if subject is None or subject.kind not in ("node", "gpu", "replica") or member.explained:
            return None
        is_lost = member.sense.role in (Role.LOSS, Role.WATCH)
        for carrier in _in_order(subject, self._topology.carriers(subject)):
            if carrier.kind in ("node", "switch", "rack"):
                known = self._crowds.get((carrier, member.name))
                if known is not None and _says_the_same(member, known, is_lost=False):
                    return carrier, [known]
                others = self._saying(member, carrier, self._topology.carried(carrier), is_lost)
                if self._is_many(member, others, carrier):
                    self._crowds[carrier, member.name] = _like(member, others)
                    return carrier, others
        if subject.kind == "replica" and member.sense.role in (Role.LOSS, Role.SYMPTOM):
            for service in sorted(one for one in self._topology.carried(subject) if one.kind == "service"):
                others = self._saying(member, service, self._topology.carriers(service), False)
                if self._is_many(member, others, service):
                    return service, others
        return None

    def _saying(
        self, member: Member, carrier: Entity, beyond: frozenset[Entity], is_lost: bool
    ) -> list[Member]:
        found = (
            other
            for alike in self._alike(member, carrier, beyond, is_lost)
            for other in alike.values()
            if other is not member and _says_the_same(member, other, is_lost)
        )
        return list(islice(found, ENOUGH))

    def _alike(
        self, member: Member, carrier: Entity, beyond: frozenset[Entity], is_lost: bool
    ) -> Iterator[Alike]:
        """Those on a carrier, and on what is `beyond`, that may say what this alert says."""
        called = self._called.get(member.name, {})
        for place in chain((carrier,), common(beyond, self._on if is_lost else called)):
            if place in called:
                yield called[place]
            for name, alike in self._on.get(place, {}).items() if is_lost else ():
                if name != member.name and sense_of(name).role in (Role.LOSS, Role.WATCH):
                    yield alike

    def _is_many(self, member: Member, others: list[Member], carrier: Entity) -> bool:
        if len(others) + 1 < TOGETHER:
            return False
        if carrier.kind == "node":
            return len({_thing(one) for one in (member, *others)}) >= TOGETHER
        kind = "replica" if carrier.kind == "service" else "node"
        near = self._topology.carriers if carrier.kind == "service" else self._topology.carried
        known = {one for one in near(carrier) if one.kind == kind}
        hit = {place for one in (member, *others) for place in self._within(one, kind)} & known
        enough = min(PART[kind] * len(known), ENOUGH // 2)
        return len(hit) >= max(TOGETHER, enough)

    def _within(self, member: Member, kind: str) -> set[Entity]:
        subject = member.subject
        around = {subject, *self._topology.carriers(subject)} if subject is not None else set()
        return {entity for entity in around if entity is not None and entity.kind == kind}

    def _other_end(self, member: Member, gpu: Entity) -> Iterator[Tie]:
        for node in self._topology.carriers(gpu):
            if node.kind != "node":
                continue
            for other_gpu in self._topology.carried(node):
                if other_gpu.kind != "gpu":
                    continue
                for other in self.on(other_gpu):
                    if other.sense.family == "nvlink" and other.firing:
                        yield Tie(other, f"a link has two ends, and {other.title} {_state(other)}", True)


def _says_the_same(member: Member, other: Member, is_lost: bool) -> bool:
    if not other.firing or other.explained or abs(other.starts_at - member.starts_at) > AT_ONCE:
        return False
    return other.name == member.name or (is_lost and other.sense.role in (Role.LOSS, Role.WATCH))


def _like(member: Member, others: Iterable[Member]) -> Member:
    return next((other for other in others if other.name == member.name), member)


def _thing(member: Member) -> tuple[Entity | None, str]:
    return member.subject, member.labels.value("instance")


def common(some: Collection[Entity], known: Mapping[Entity, object]) -> list[Entity]:
    """Those of `some` that are known: whichever are fewer are looked through."""
    if len(some) < len(known):
        return [place for place in some if place in known]
    return [place for place in known if place in some]


@lru_cache(maxsize=16_384)
def _in_order(subject: Entity, carriers: frozenset[Entity]) -> tuple[Entity, ...]:
    return tuple(sorted({subject, *carriers}))


def _joined_at(member: Member) -> int:
    return member.joined_at


@lru_cache(maxsize=16_384)
def are_one_matter(name: str, other: str, kind: str) -> bool:
    """Whether alerts of two names about the same thing of a kind are one matter."""
    if name == other:
        return True
    sense, known = sense_of(name), sense_of(other)
    if sense.role is Role.WATCH and known.role is Role.WATCH:
        return True
    if sense.role not in _SIGNALS or known.role not in _SIGNALS:
        return False
    if kind in ("gpu", "replica", "service"):
        return True
    return sense == known and sense.role in (Role.LOSS, Role.FAULT)


def _state(member: Member) -> str:
    return "fires" if member.firing else "fired"
