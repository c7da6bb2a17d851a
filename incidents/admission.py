"""Where an alert belongs: with its cause, with its own matter, or in an incident of its own.

explained by a firing alert  -> that one's incident
explains what was there      -> the oldest incident that it explains wholly; the others merge into it
the same matter as another   -> that one's incident
else                         -> a new incident
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from sys import intern
from typing import NamedTuple

from incidents.archive import Archive
from incidents.blast import Blast
from incidents.deadlines import Deadlines
from incidents.entities import subject_of
from incidents.explanation import Explanation, Explanations
from incidents.figures import Figures
from incidents.incident import Incident
from incidents.matter import Matters
from incidents.member import Member, member_of
from incidents.merging import absorb
from incidents.roles import Role, sense_of
from incidents.settings import SETTLE, IncidentSettings
from model.alert import Alert, Tier
from model.labels import format_labels
from model.moment import MINUTE, SECOND, format_duration, whole_seconds
from model.topology import Entity, Topology

SPELLED_OUT = 3
"""So many alerts that join an incident in one step have a line each; more are counted by name."""

AT_ONCE_ANYWHERE = 5
"""So many things of which the same is said within a minute are told together, wherever they are."""

SPREAD = 15 * SECOND
"""So close (ms) to the others is what is urgent and joins them though they were told: it waits a while."""

NODES_AT_ONCE = 3
"""So many nodes that are lost within a minute have lost the same, though nobody says what."""

GUESS_WITHIN = 2 * MINUTE
"""So long (ms) after an incident began, an alert without a place may be of it."""

LATEST = 32
"""So many incidents are asked for that: in a storm nobody can tell which it was."""

_CAUSES = (Role.LOSS, Role.FAULT, Role.DRIVER, Role.WATCH)

_FIRST = {Role.LOSS: 0, Role.FAULT: 0, Role.DRIVER: 1}
_DEPTH = {
    kind: depth
    for depth, kind in enumerate(("cluster", "rack", "switch", "node", "gpu", "replica", "service"))
}


class _Place(NamedTuple):
    incident: Incident
    why: str


class _Crowd(NamedTuple):
    """Many that began at once: `first` is the oldest of their incidents."""

    first: Incident
    why: str
    others: tuple[Member, ...]
    gathers: bool


class Admission:
    """The members of the open incidents, and how they come to be there."""

    def __init__(
        self,
        settings: IncidentSettings,
        topology: Topology,
        archive: Archive,
        deadlines: Deadlines,
        figures: Figures,
    ) -> None:
        self.settings = settings
        self.members: dict[int, Member] = {}
        self.explanations = Explanations(topology, self.members, self._changed_at)
        self._topology = topology
        self._archive = archive
        self._deadlines = deadlines
        self._figures = figures
        self._matters = Matters(topology)
        self._blast = Blast(topology, self.explanations)
        self._grown: defaultdict[str, list[Member]] = defaultdict(list)
        self._guessed: dict[Entity, dict[int, Member]] = {}
        self._joined: defaultdict[str, list[Member]] = defaultdict(list)
        self._ended: defaultdict[str, list[tuple[Member, str]]] = defaultdict(list)
        self._lately: deque[str] = deque(maxlen=LATEST)

    def hear(self, member: Member, alert: Alert, now: int) -> None:
        """An alert that is a member: its words, its end, its return."""
        member.heard = now
        ends_at = alert.ends_at if alert.resolved_at(now) else None
        if member.ends_at is None and ends_at is None:
            if member.annotations != alert.annotations:
                member.annotations = alert.annotations
                self._archive.keep(member)
        elif ends_at is None:
            self._again(member, alert, now)
        elif member.ends_at is None:
            lasted = format_duration(whole_seconds(max(0, ends_at - member.starts_at)))
            member.annotations = alert.annotations
            self.end(member, ends_at, now, f"{member.title} ended after {lasted}")

    def end(self, member: Member, ends_at: int, now: int, why: str) -> None:
        """A member has ended."""
        incident = self._archive.open[member.incident]
        member.ends_at = ends_at
        incident.ended(member)
        self._archive.keep(member)
        self._ended[incident.id].append((member, why))
        self._touch(incident, now)
        self._deadlines.released(now + self.settings.cause_hold, member.fingerprint)
        if not incident.firing_count:
            self._deadlines.over(now + self.settings.resolve_hold, incident.id)

    def take(self, fresh: Sequence[tuple[Alert, frozenset[Entity]]], now: int) -> None:
        """New alerts, the likely causes first, so that the alerts of one step find each other."""
        self._look_again(self._topology.news(), now)
        for alert, entities in sorted(fresh, key=_cause_first):
            if alert.labels.fingerprint not in self.members:
                self._admit(member_of(alert, entities, now), now)

    def finish(self, now: int) -> None:
        """Once a step, however many alerts of a storm have joined."""
        self._release(self._deadlines.releasing(now), now)
        for incident_id, members in self._joined.items():
            incident = self._archive.open.get(self._final(incident_id))
            if incident is not None:
                self._tell_joined(incident, members, now)
        self._joined.clear()
        for incident_id, ended in self._ended.items():
            self._tell_ended(self._final(incident_id), ended, now)
        self._ended.clear()
        for incident_id, members in self._grown.items():
            incident = self._archive.open.get(incident_id)
            if incident is not None:
                self._blast.widen(incident, members)
        self._grown.clear()

    def forget(self, incident: Incident) -> None:
        """The incident is over."""
        for member in incident.members.values():
            del self.members[member.fingerprint]
            self._matters.remove(member)
            self.explanations.remove(member)
        self._blast.forget(incident)

    def restore(self, now: int) -> None:
        """Find the members of the open incidents again after loading."""
        self.members.clear()
        self._matters = Matters(self._topology)
        self.explanations.clear()
        self._topology.news()
        for incident in self._archive.open.values():
            for member in incident.members.values():
                member.heard = now
                self._know(member)
                self._deadlines.hear(now + self.settings.resolve_timeout, member.fingerprint)
                if member.firing:
                    self.explanations.add(member)
                else:
                    self._deadlines.released(now + self.settings.cause_hold, member.fingerprint)

    def _know(self, member: Member) -> None:
        self.members[member.fingerprint] = member
        self._matters.add(member)

    def _admit(self, member: Member, now: int) -> None:
        since = now - self.settings.window
        explanation = self._uncontested(member, self.explanations.find(member, since), now)
        self.explanations.add(member)
        late = [] if explanation else self._explained_late(member, now)
        crowd = None if explanation else self._crowd(member)
        place = self._place(member, explanation, late, crowd, since)
        is_new = place is None
        if place is None:
            place = _Place(self._archive.begin(member, now), "it opened the incident")
        if explanation is not None:
            member.cause = explanation.cause.fingerprint
        incident, why = place
        member.why = intern(why)  # hundreds are there for the same reason
        member.voice = incident.id
        incident.add(member)
        self._grown[incident.id].append(member)
        self._know(member)
        self._archive.keep(member)
        self._deadlines.hear(now + self.settings.resolve_timeout, member.fingerprint)
        if incident.told is not None and not member.cause:
            self._deadlines.released(now + SETTLE, member.fingerprint)
        self._touch(incident, now)
        if is_new:
            self._figures.opened[incident.tier.name] += 1
            self._lately.append(incident.id)
            self._archive.note(incident.id, now, "opened", f"opened by {described(member)}")
        else:
            self._figures.joined += 1
            self._joined[incident.id].append(member)
        for other, found in late:
            self._explain(other, found, now)
        if crowd is not None:
            self._gather(member, crowd, now)

    def _uncontested(self, member: Member, found: Explanation | None, now: int) -> Explanation | None:
        """A GPU of which no pod is known explains one replica of its node; of two, nobody knows which."""
        if found is None or not found.is_guess:
            return found
        subject = found.cause.subject
        carriers = self._topology.carriers(subject) if subject is not None else frozenset()
        node = next(entity for entity in carriers if entity.kind == "node")
        guessed = self._guessed.setdefault(node, {})
        guessed[member.fingerprint] = member
        claims = [one for one in guessed.values() if one.fingerprint in self.members or one is member]
        self._guessed[node] = {one.fingerprint: one for one in claims}
        failed = {one.subject for one in self.explanations.on_gpus_of(node)}
        if len({one.subject for one in claims}) <= len(failed):
            return found
        for other in claims:
            if other is not member and other.cause and other.firing:
                other.cause, other.why = 0, f"which replicas of {node} the lost GPU carried is not known"
                self._archive.open[other.incident].regard(other)
                self._archive.keep(other)
        return None

    def _place(
        self,
        member: Member,
        explanation: Explanation | None,
        late: Sequence[tuple[Member, Explanation]],
        crowd: _Crowd | None,
        since: int,
    ) -> _Place | None:
        if explanation is not None:
            return _Place(self._archive.open[explanation.cause.incident], explanation.why)
        whole = self._wholly_explained(late) if late else []
        if whole:
            first = min(whole, key=lambda incident: (incident.opened_at, incident.id))
            found = next(found for other, found in late if other.incident == first.id)
            other = next(other for other, found in late if other.incident == first.id)
            why = found.why.replace("explains it", f"explains {other.title}")
            return _Place(first, why)
        for tie in self._matters.ties(member):
            incident = self._archive.open.get(tie.member.incident)
            if incident is not None and incident.changed_at >= since:
                if tie.is_one_thing:
                    member.gathered = tie.member.gathered = True
                return _Place(incident, tie.why)
        if crowd is not None:
            return _Place(crowd.first, crowd.why)
        return self._only_one(member)

    def _only_one(self, member: Member) -> _Place | None:
        """What names no place joins the one incident that it can come from: a guess, so it is told."""
        if member.subject is not None and not (
            member.sense.role is Role.WATCH and member.subject.kind in ("service", "cluster")
        ):
            return None
        if member.sense.role not in (Role.LOSS, Role.WATCH, Role.SYMPTOM):
            return None
        lately = (self._archive.open.get(one) for one in self._lately)
        found = [
            incident
            for incident in lately
            if incident is not None
            and abs(member.starts_at - incident.opened_at) <= GUESS_WITHIN
            and incident.root.sense.role in _CAUSES
        ]
        if member.sense.role is Role.WATCH:  # targets go with what they run on
            found = [one for one in found if _is_carrier(one.root.subject)] or found
        if len(found) != 1:
            return None
        why = f"it names no place, and only {found[0].title} began just before: a guess, so it is told"
        return _Place(found[0], why)

    def _explained_late(self, cause: Member, now: int) -> list[tuple[Member, Explanation]]:
        """The members that nothing explained before this alert came."""
        if not self.explanations.may_explain(cause) or not self.explanations.is_first(cause):
            return []  # what another of its name did not explain before, it does not explain either
        since = now - self.settings.window
        found = []
        for entity in self.explanations.affected(cause):
            for other in self._matters.on(entity):
                if other.explained or not other.firing or other.joined_at < since:
                    continue
                if other.sense.role is Role.OTHER:
                    continue  # it was there before: a loss does not make it its own after the fact
                explanation = self.explanations.find(other, since)
                if (
                    explanation is not None
                    and explanation.cause is cause
                    and self._may_take(other, explanation)
                ):
                    found.append((other, explanation))
        return found

    def _may_take(self, other: Member, explanation: Explanation) -> bool:
        """What people were told of a whole service may be another matter than a fault beneath it."""
        return not (explanation.through_service and self._archive.open[other.incident].told is not None)

    def _wholly_explained(self, late: Sequence[tuple[Member, Explanation]]) -> list[Incident]:
        explained = {member.fingerprint for member, _ in late}
        incidents = {member.incident for member, _ in late}
        found = [self._archive.open[incident_id] for incident_id in incidents]
        return [one for one in found if one.heads.keys() <= explained]

    def _explain(self, member: Member, found: Explanation, now: int) -> None:
        """The cause of a member has come, or has become known; its incident merges if that was all of it."""
        incident = self._archive.open[member.incident]
        member.cause, member.why = found.cause.fingerprint, found.why
        if member.gathered and not found.cause.gathered:  # what explains one of the many is known with them
            found.cause.gathered = True
            self._archive.keep(found.cause)
        incident.regard(member)
        self._archive.keep(member)
        target = self._archive.open[found.cause.incident]
        if incident is target:
            self._archive.note(target.id, now, "explained", f"{member.title}: {found.why}")
        elif not incident.heads:
            self._merge(incident, target, found.why, now)

    def _merge(self, one: Incident, other: Incident, why: str, now: int) -> None:
        """The later-opened becomes part of the other."""
        kept, gone = sorted((one, other), key=lambda incident: (incident.opened_at, incident.id))
        for member, before in absorb(kept, gone, now):
            self._archive.move(member, before)
        self._figures.merged += 1
        self._archive.note(gone.id, now, "merged", f"became part of {kept.id}: {why}")
        self._archive.note(kept.id, now, "merged", f"{gone.id} ({gone.words}) became part of this: {why}")
        self._archive.close(gone)
        self._joined[kept.id] += self._joined.pop(gone.id, [])
        self._grown[kept.id] += [*self._grown.pop(gone.id, []), *gone.members.values()]
        self._touch(kept, now)

    def _crowd(self, member: Member) -> _Crowd | None:
        """The others with which this alert is one of many that began at once."""
        found = self._matters.together(member)
        member.gathered = found is not None
        if found is not None:
            others = [one for one in found[1] if self._can_wait_for(one, member)]
            if others:
                return self._crowd_of(others, f"one of many on {found[0]} at once", gathers=True)
        # The same alert of many things is told in one message, though nothing is known to join them. Who
        # comes when that was told already is told with its group: it may be another matter, and is not held.
        others = [one for one in self._matters.at_once(member) if self._can_wait_for(one, member)]
        fresh = [one for one in others if not one.told]
        is_node = member.subject is not None and member.subject.kind == "node"
        enough = NODES_AT_ONCE if is_node and member.sense.role is Role.LOSS else AT_ONCE_ANYWHERE
        late = [one for one in others if member.tier > Tier.P1 or _is_close(member, one)]
        chosen, least = (fresh, enough) if len(fresh) + 1 >= enough else (late, AT_ONCE_ANYWHERE)
        if len(chosen) + 1 < least:
            chosen = self._matters.of_service(member, fresh)
            if not chosen:
                return None
        return self._crowd_of(chosen, f"one of many {member.name} at once", gathers=False)

    def _can_wait_for(self, other: Member, member: Member) -> bool:
        """In a group that was told it would wait for the interval: what is more urgent does not."""
        told = self._archive.open[other.incident].told
        return told is None or told <= member.tier or not other.told

    def _crowd_of(self, others: Sequence[Member], why: str, gathers: bool) -> _Crowd:
        incidents = {one.incident: self._archive.open[one.incident] for one in others}
        first = min(incidents.values(), key=lambda incident: (incident.opened_at, incident.id))
        return _Crowd(first, why, tuple(others), gathers)

    def _gather(self, member: Member, crowd: _Crowd, now: int) -> None:
        """Bring the incidents of a crowd together; of those who were told nothing is taken back."""
        for one in crowd.others:
            one.gathered = one.gathered or crowd.gathers
            mine, other = self._archive.open[member.incident], self._archive.open.get(one.incident)
            if other is not None and mine is not other:
                self._merge(mine, other, crowd.why, now)

    def incidents_on(self, entity: Entity) -> set[str]:
        """The ids of the open incidents that have a member on this thing or on what stands on it."""
        places = {entity, *self._topology.carried(entity)}
        return {member.incident for place in places for member in self._matters.on(place)}

    def _look_again(self, news: Sequence[Entity], now: int) -> None:
        """Edges that were not known before may explain what nothing explained."""
        since = now - self.settings.window
        places = {place for entity in news for place in (entity, *self._topology.carried(entity))}
        for place in places:
            for member in self._matters.on(place):
                if member.explained or not member.firing or member.joined_at < since:
                    continue
                found = self.explanations.find(member, since)
                if found is not None and self._may_take(member, found):
                    self._explain(member, found, now)

    def _release(self, fingerprints: Iterator[int], now: int) -> None:
        """Causes have been over for a while: what still fires has another cause, or comes back."""
        over: defaultdict[str, set[int]] = defaultdict(set)
        for fingerprint in fingerprints:
            self._archive.version += 1
            cause = self.members.get(fingerprint)
            if cause is not None and not cause.firing:
                self.explanations.remove(cause)
                over[cause.incident].add(fingerprint)
        for incident_id, causes in over.items():
            incident = self._archive.open.get(incident_id)
            for member in list(incident.members.values()) if incident is not None else ():
                if member.cause in causes and member.firing:
                    self._explain_anew(member, now)

    def _explain_anew(self, member: Member, now: int) -> None:
        """What explained a member is over."""
        before = self.members.get(member.cause)
        found = self.explanations.find(member, now - self.settings.window)
        if found is not None:
            member.cause, member.why = found.cause.fingerprint, found.why
        else:
            member.cause, member.why = (
                0,
                f"it still fires though {before.title if before else 'its cause'} is over",
            )
        self._archive.open[member.incident].regard(member)
        kind = "explained" if found else "back"
        self._archive.note(member.incident, now, kind, f"{member.title}: {member.why}")
        self._archive.keep(member)

    def _again(self, member: Member, alert: Alert, now: int) -> None:
        incident = self._archive.open[member.incident]
        member.ends_at, member.starts_at, member.annotations = None, alert.starts_at, alert.annotations
        incident.returned(member)
        self.explanations.add(member)
        self._deadlines.hear(now + self.settings.resolve_timeout, member.fingerprint)
        self._archive.keep(member)
        self._archive.note(incident.id, now, "again", f"{member.title} fires again")
        self._touch(incident, now)

    def _tell_joined(self, incident: Incident, members: Sequence[Member], now: int) -> None:
        if len(members) > SPELLED_OUT:
            sentence = f"{len(members)} alerts joined: {_counted(members)}"
            self._archive.note(incident.id, now, "joined", sentence)
        else:
            for member in members:
                self._archive.note(incident.id, now, "joined", f"{described(member)} joined: {member.why}")
        for member in members:
            if member.tier < incident.tier:
                sentence = f"tier {incident.tier.name} became {member.tier.name} because of {member.title}"
                incident.tier = member.tier
                self._archive.note(incident.id, now, "tier", sentence)

    def _tell_ended(self, incident_id: str, ended: Sequence[tuple[Member, str]], now: int) -> None:
        if len(ended) > SPELLED_OUT:
            sentence = f"{len(ended)} alerts ended: {_counted([member for member, _ in ended])}"
            self._archive.note(incident_id, now, "ended", sentence)
        else:
            for _, why in ended:
                self._archive.note(incident_id, now, "ended", why)

    def _touch(self, incident: Incident, now: int) -> None:
        incident.changed_at = now
        self._archive.touch(incident)

    def _changed_at(self, member: Member) -> int:
        incident = self._archive.open.get(member.incident)
        return incident.changed_at if incident is not None else 0

    def _final(self, incident_id: str) -> str:
        incident = self._archive.get(incident_id)
        return incident.merged_into or incident_id if incident is not None else incident_id


def _is_close(member: Member, other: Member) -> bool:
    return abs(member.starts_at - other.starts_at) <= SPREAD


def _is_carrier(subject: Entity | None) -> bool:
    return subject is not None and subject.kind in ("node", "switch", "rack")


def _cause_first(found: tuple[Alert, frozenset[Entity]]) -> tuple[int, int, int, tuple[tuple[str, str], ...]]:
    alert, entities = found
    subject = subject_of(entities)
    depth = _DEPTH[subject.kind] if subject else len(_DEPTH)
    return _FIRST.get(sense_of(alert.name).role, 2), depth, alert.starts_at, alert.labels.pairs


def _counted(members: Sequence[Member]) -> str:
    counts = Counter(member.name for member in members)
    return ", ".join(f"{count} x {name}" for name, count in counts.most_common())


def described(member: Member) -> str:
    """Tier, name and labels of an alert, as the timeline writes them."""
    labels = member.labels.without("alertname", "tier", "severity", "kind")
    return f"{member.tier.name} {member.name}{format_labels(labels) if labels else ''}"
