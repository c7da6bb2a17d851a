"""Which firing alert explains another, by which way, and through which edge of the topology.

By name where a rule's side file, the configuration or a well-known pack says so; by the role that the words
of the names tell (roles.py) where they are in no table. In both cases an edge must join the two: the same
thing, one that the other stands on, or the service that a replica serves.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import NamedTuple

from incidents.matter import common
from incidents.member import Member
from incidents.roles import Role, Sense
from model.moment import MINUTE, SECOND
from model.topology import Entity, Topology

REAL_SHARE = 0.05
"""A service's symptom is explained by causes beneath its replicas if they hit at least this share of them.

Our own choice: one replica in twenty is about what retries and spare capacity hide. Less than that does not
make a whole service slow, so what does is another matter.
"""

GUESS_WITHIN = 4 * MINUTE
"""How long (ms) after the failure of a GPU a replica of unknown GPUs may be in trouble for it."""

_Rank = tuple[bool, bool, int, bool, int, str, int, int]
_NARROWEST = ("gpu", "replica", "node", "switch", "rack", "cluster", "service")
_YOUNGEST = "~"
"""An alert that has no incident yet is behind all that have one."""

STRAIN = 0.2
"""From this share of lost replicas on the others of the service are slow for it. Our own choice, as above."""

Causes = dict[Entity, dict[str, dict[int, Member]]]


class Explanation(NamedTuple):
    """A cause, the way by which it explains, and the edge that joins the two.

    `through_service`: joined by a share only; `is_guess`: one of several that it may be.
    """

    cause: Member
    way: str
    edge: str
    through_service: bool = False
    is_guess: bool = False

    @property
    def why(self) -> str:
        """The sentence, written for the one that is the best of many."""
        return f"{self.cause.title} explains it ({self.way}): {self.edge}"


AFTERMATH = 30 * SECOND
"""So long (ms) after the end of a cause what stands on it may still complain: rules look back."""


def _is_in_time(found: Explanation, member: Member) -> bool:
    """Whether the cause fires, or has ended just now; a whole service is judged by causes that fire."""
    ended = found.cause.ends_at
    return ended is None or (not found.through_service and member.joined_at - ended <= AFTERMATH)


class Explanations:
    """The firing alerts that may explain others, by the thing that they are about."""

    def __init__(
        self, topology: Topology, members: Mapping[int, Member], changed_at: Callable[[Member], int]
    ) -> None:
        self._topology = topology
        self._members = members
        self._changed_at = changed_at
        self._table: Mapping[str, Collection[str]] = {}
        self._strict: frozenset[str] = frozenset()
        self._at: Causes = defaultdict(dict)

    def configure(self, table: Mapping[str, Collection[str]], strict: Collection[str]) -> None:
        """`table` says who explains whom; among the names in `strict` nothing is inferred."""
        self._table = table
        self._strict = frozenset(strict)

    def may_explain(self, member: Member) -> bool:
        """Whether it could be anybody's cause."""
        return member.sense.role in (Role.LOSS, Role.FAULT, Role.DRIVER) or member.name in self._table

    def add(self, member: Member) -> None:
        """It fires."""
        subject = member.subject
        if subject is not None and self.may_explain(member):
            self._at[subject].setdefault(member.name, {})[member.fingerprint] = member

    def remove(self, member: Member) -> None:
        """It fires no more."""
        subject = member.subject
        names = self._at.get(subject) if subject is not None else None
        if subject is None or not names or member.name not in names:
            return
        names[member.name].pop(member.fingerprint, None)
        if not names[member.name]:
            del names[member.name]
        if not names:
            del self._at[subject]

    def is_first(self, cause: Member) -> bool:
        """Whether it is the cause that is looked at, of those of its name about its thing."""
        alike = self._at.get(cause.subject, {}).get(cause.name) if cause.subject is not None else None
        return alike is not None and next(iter(alike.values()), None) is cause

    def clear(self) -> None:
        """Nothing fires."""
        self._at.clear()

    def find(self, member: Member, since: int) -> Explanation | None:
        """The best explanation: beneath before above, by name before inferred, the nearest, the earliest.

        Causes of incidents that have not changed since `since` (ms) do not count.
        """
        if not self._at:
            return None
        best = None
        for rank, found in self._all(member):
            if not _is_in_time(found, member):
                continue
            if found.cause.joined_at < since and self._changed_at(found.cause) < since:
                continue
            if (best is None or rank < best[0]) and not self._leads_to(found.cause, member):
                best = (rank, found)
        return best[1] if best else None

    def affected(self, cause: Member) -> Iterator[Entity]:
        """The things of which an alert may newly be explained by this one."""
        subject = cause.subject
        if subject is None:
            return
        yield subject
        yield from self._topology.carried(subject)
        if subject.kind in ("gpu", "service"):
            kind = "node" if subject.kind == "gpu" else "replica"
            yield from (entity for entity in self._topology.carriers(subject) if entity.kind == kind)

    def _all(self, member: Member) -> Iterator[tuple[_Rank, Explanation]]:
        subject = member.subject
        if subject is None:
            return
        yield from self._at_place(member, subject, subject, 0)
        if subject.kind == "service":
            yield from self._beneath_service(member, subject)
            return
        for place in self._topology.carriers(subject):
            if place in self._at:
                yield from self._at_place(member, subject, place, 1)
        if subject.kind == "replica":
            yield from self._on_some_gpu(member, subject)
        if subject.kind in ("replica", "gpu"):
            yield from self._by_services(member, subject)
        elif subject.kind == "node" and member.sense.of_gpus:
            for gpu in self._topology.carried(subject):
                if gpu.kind == "gpu" and gpu in self._at:
                    yield from self._at_part(member, subject, gpu)

    def _by_services(self, member: Member, subject: Entity) -> Iterator[tuple[_Rank, Explanation]]:
        for service in self._topology.carried(subject):
            if service.kind != "service":
                continue
            if service in self._at:
                yield from self._at_service(member, subject, service)
            if subject.kind == "replica" and member.sense.family == "load":
                yield from self._strained(member, subject, service)

    def _at_place(
        self, member: Member, subject: Entity, place: Entity, depth: int
    ) -> Iterator[tuple[_Rank, Explanation]]:
        edge = f"both are on {place}" if place == subject else f"{subject} stands on {place}"
        for cause in self._causes(place, member):
            way = self._way(cause, member, is_below=depth > 0)
            if way:
                yield _ranked(cause, way, depth, edge)

    def on_gpus_of(self, node: Entity) -> Iterator[Member]:
        """The firing losses and faults of GPUs of a node of which no pod is known."""
        for gpu in self._topology.carried(node):
            if gpu.kind != "gpu" or gpu not in self._at:
                continue
            if not any(other.kind == "replica" for other in self._topology.carried(gpu)):
                for found in self._at[gpu].values():
                    yield from found.values()

    def _on_some_gpu(self, member: Member, replica: Entity) -> Iterator[tuple[_Rank, Explanation]]:
        """Where nobody has said which GPUs carry a replica, one that failed just before on its node may."""
        carriers = self._topology.carriers(replica)
        if any(entity.kind == "gpu" for entity in carriers):
            return
        for node in carriers:
            for cause in self.on_gpus_of(node) if node.kind == "node" else ():
                way = self._way(cause, member, is_below=True)
                if way and 0 <= member.starts_at - cause.starts_at <= GUESS_WITHIN:
                    edge = f"{replica} is on {node} as well, and no other replica there is in trouble"
                    rank, found = _ranked(cause, way, 2, edge)
                    yield rank, found._replace(is_guess=True)

    def _at_service(
        self, member: Member, subject: Entity, service: Entity
    ) -> Iterator[tuple[_Rank, Explanation]]:
        for cause in self._causes(service, member):
            is_driver = cause.sense.role is Role.DRIVER
            way = self._way(cause, member, is_below=True) if is_driver else self._named(cause, member)
            if way:
                yield _ranked(cause, way, 2, f"{subject} serves {service}")

    def _at_part(self, member: Member, subject: Entity, gpu: Entity) -> Iterator[tuple[_Rank, Explanation]]:
        for cause in self._causes(gpu, member):
            way = self._named(cause, member)
            if (
                not way
                and cause.sense.role in (Role.LOSS, Role.FAULT)
                and not self._both_strict(cause, member)
            ):
                way = "inferred: a GPU that is lost is missing on its node"
            if way:
                yield _ranked(cause, way, 1, f"{gpu} is on {subject}")

    def _beneath_service(self, member: Member, service: Entity) -> Iterator[tuple[_Rank, Explanation]]:
        beneath = self._topology.carriers(service)
        hot = {place: self._reasons(place, member) for place in common(beneath, self._at)}
        hot = {place: reasons for place, reasons in hot.items() if reasons}
        if not hot:
            return
        replicas = self.replicas(service)
        hit = [
            one for one in replicas if one in hot or not hot.keys().isdisjoint(self._topology.carriers(one))
        ]
        known = max(len(replicas), least_count(replicas))
        if not hit or len(hit) < REAL_SHARE * known:
            return
        at_least = "at least " if known > len(replicas) else ""
        count = "1 replica" if known == 1 else f"{at_least}{known} replicas"
        edge = f"{service} is served by {count}, of which {len(hit)} stand on such"
        for reasons in hot.values():
            for cause, way in reasons:
                rank, found = _ranked(cause, way, 1, edge)
                yield rank, found._replace(through_service=True)

    def _strained(
        self, member: Member, replica: Entity, service: Entity
    ) -> Iterator[tuple[_Rank, Explanation]]:
        """What the rest of a service feels where much of it is lost: slow and queueing, but no errors."""
        share, found = self._hit(member, service)
        if share >= STRAIN and replica not in found:
            for reasons in found.values():
                for cause, way in reasons:
                    if cause.sense.role is Role.LOSS:
                        edge = f"{replica} carries what {share:.0%} of {service} no longer do"
                        rank, explanation = _ranked(cause, way, 2, edge)
                        yield rank, explanation._replace(through_service=True)

    def _hit(self, member: Member, service: Entity) -> tuple[float, dict[Entity, list[tuple[Member, str]]]]:
        """The share of a service's known replicas that stand on causes, at least two, and those causes."""
        beneath = self._topology.carriers(service)
        hot = {place: self._reasons(place, member) for place in common(beneath, self._at)}
        hot = {place: reasons for place, reasons in hot.items() if reasons}
        replicas = self.replicas(service) if hot else []
        hit = [
            one for one in replicas if one in hot or not hot.keys().isdisjoint(self._topology.carriers(one))
        ]
        if len(hit) < 2:
            return 0.0, {}
        return len(hit) / max(len(replicas), least_count(replicas)), hot

    def replicas(self, service: Entity) -> list[Entity]:
        """The known replicas of a service; a pod that is also known by its address counts once."""
        return [
            entity
            for entity in self._topology.carriers(service)
            if entity.kind == "replica"
            and not any(other.kind == "replica" for other in self._topology.carriers(entity))
        ]

    def _reasons(self, place: Entity, member: Member) -> list[tuple[Member, str]]:
        found = [(cause, self._way(cause, member, is_below=True)) for cause in self._causes(place, member)]
        return [(cause, way) for cause, way in found if way and cause.sense.role is not Role.DRIVER]

    def _causes(self, place: Entity, member: Member) -> Iterator[Member]:
        """One for each name at a place: the one that came first."""
        for found in self._at.get(place, {}).values():
            cause = next(iter(found.values()))
            if cause is member:
                cause = next((other for other in found.values() if other is not member), member)
            if cause is not member:
                yield cause

    def _way(self, cause: Member, member: Member, is_below: bool) -> str:
        named = self._named(cause, member)
        if named or self._both_strict(cause, member):
            return named
        if infers(cause, member, is_below):
            return f"inferred: a {cause.sense.role.value} explains a {member.sense.role.value}"
        return ""

    def _named(self, cause: Member, member: Member) -> str:
        return "named in its rules" if member.name in self._table.get(cause.name, ()) else ""

    def _both_strict(self, cause: Member, member: Member) -> bool:
        return cause.name in self._strict and member.name in self._strict

    def _leads_to(self, cause: Member, member: Member) -> bool:
        """Whether the cause is itself explained by this alert, directly or not."""
        seen = set()
        above: Member | None = cause
        while above is not None and above.cause and above.cause not in seen:
            if above.cause == member.fingerprint:
                return True
            seen.add(above.cause)
            above = self._members.get(above.cause)
        return False


def infers(cause: Member, member: Member, is_below: bool) -> bool:
    """Whether one role explains another: `is_below` if the alert's thing stands on the cause's."""
    sense, other = cause.sense, member.sense
    if other.role is Role.DRIVER:
        return False
    subject = cause.subject
    if sense.role is Role.LOSS:
        is_part = sense.of_gpus and subject is not None and subject.kind == "node"
        is_way = subject is not None and subject.kind in ("switch", "rack")
        return not is_part and _loss_explains(other, is_below, is_way)
    if sense.role is Role.FAULT:
        if sense.family == "way" and subject is not None and subject.kind in ("switch", "rack"):
            return False  # one port of it: not all that hangs on it
        if other.role is Role.FAULT:
            return is_below and other.family == sense.family
        return other.role in (Role.LOSS, Role.SYMPTOM)
    if sense.role is Role.DRIVER:
        return other.role is Role.SYMPTOM
    return False


def _loss_explains(other: Sense, is_below: bool, is_way: bool) -> bool:
    if other.role is Role.FAULT:  # what is sent over a switch that is gone comes late or not at all
        return other.family == "way" or (is_way and is_below and other.family == "network")
    return is_below or other.role is not Role.OTHER


def least_count(replicas: Collection[Entity]) -> int:
    """How many replicas there are at least: a StatefulSet numbers its pods from 0.

    >>> least_count([Entity("replica", "vllm-17"), Entity("replica", "chat-7d9f8c6b5-xk2p9")])
    18
    """
    numbers = (_ORDINAL.search(entity.name) for entity in replicas)
    return max((int(found[1]) + 1 for found in numbers if found), default=0)


_ORDINAL = re.compile(r"-(\d{1,4})$")


def _ranked(cause: Member, way: str, depth: int, edge: str) -> tuple[_Rank, Explanation]:
    rank = (
        depth > 1,
        not way.startswith("named"),
        depth,
        cause.explained,
        _NARROWEST.index(cause.subject.kind) if cause.subject else len(_NARROWEST),
        cause.incident or _YOUNGEST,
        cause.starts_at,
        cause.fingerprint,
    )
    return rank, Explanation(cause, way, edge)
