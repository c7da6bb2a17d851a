"""Alerts to incidents: open, join, grow, hold, resolve; every change is an entry of the timeline.

    alerts = incidents.step(now, alerts)       # the same alerts, each with its incident
    incidents.note(id, now, "notified", str(decision))

An incident is over when all its alerts have ended for `resolve_hold`; an alert that comes back before
that comes back into the same incident.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from incidents.entities import entities_of, subject_of
from incidents.incident import CAUSE_ORDER, REACH_KINDS, Incident, Member, member_of, readable
from incidents.numbering import Numbering
from incidents.people.acknowledgement import acknowledged, unacknowledged
from incidents.relation import Explains, OpenIncidents
from incidents.settings import IncidentSettings
from incidents.story import story
from incidents.tables import INCIDENTS, kept_incidents
from incidents.timeline import Entry, Timelines
from model.alert import Alert, Tier
from model.decision import Decision
from model.labels import format_labels
from model.metric import Metric, Sample
from model.moment import format_duration, whole_seconds
from model.topology import Entity, Topology

log = logging.getLogger("fleetowl.incidents")

METRICS = (
    Metric("fleetowl_incidents_open", "gauge", "Open incidents.", ("tier",)),
    Metric("fleetowl_incidents_opened_total", "counter", "Incidents that were opened.", ("tier",)),
    Metric("fleetowl_incidents_alerts_joined_total", "counter", "Alerts that joined an open incident."),
)


class Incidents:
    """All open incidents and the latest closed ones; implements Durable."""

    def __init__(
        self, settings: IncidentSettings, topology: Topology, explains: Explains | None = None
    ) -> None:
        self.opened: Counter[str] = Counter()
        self.joined = 0
        self._settings = settings
        self._topology = topology
        self._explains: dict[str, Collection[str]] = dict(explains or {})
        self._kept = kept_incidents()
        self._timelines = Timelines()
        self._numbering = Numbering()
        self._open = OpenIncidents(topology, self._explains)
        self._place: dict[int, str] = {}
        self._heard: dict[int, int] = {}
        self._grown: set[str] = set()

    def step(self, now: int, alerts: Sequence[Alert]) -> list[Alert]:
        """Bring the incidents to `now`; returns the alerts, in their order, with their incidents."""
        placed: dict[int, str] = {}
        for alert, entities in self._in_order(alerts):
            placed[id(alert)] = self._take(alert, entities, now)
        self._end_silent(now)
        for grown in self._grown:  # once a step, however many alerts of a storm have joined
            self._widen(self._kept[grown])
        self._grown.clear()
        for incident in [incident for incident in self._kept.values() if incident.open]:
            self._close_if_over(incident, now)
        return [replace(alert, incident=placed[id(alert)]) for alert in alerts]

    def reconfigure(self, settings: IncidentSettings, explains: Explains | None = None) -> None:
        """Take other settings and rules' `explains`; open incidents stay as they are."""
        self._settings = settings
        self._topology.keep = settings.topology_retention
        self._explains.clear()
        self._explains.update(explains or {})

    def note(self, incident_id: str, at: int, kind: str, sentence: str) -> None:
        """Append to the timeline of an incident; what names no known incident is only logged."""
        log.info("%s: %s", incident_id or "no incident", sentence)
        if incident_id in self._kept:
            self._timelines.append(incident_id, Entry(at, kind, sentence))

    def acknowledge(self, incident_id: str, who: str, now: int, how: str = "") -> Decision:
        """Somebody says that the incident is theirs; `how` they said it (a link, the CLI)."""
        return self._answered(incident_id, acknowledged(self.get(incident_id), who, now, how), now)

    def unacknowledge(self, incident_id: str, who: str, now: int, why: str = "") -> Decision:
        """It is nobody's again: `who` gives it back, or it has become another matter."""
        return self._answered(incident_id, unacknowledged(self.get(incident_id), who, why), now)

    def is_acknowledged(self, incident_id: str) -> bool:
        """Whether somebody has it."""
        incident = self.get(incident_id)
        return incident is not None and incident.acknowledged_at is not None

    def timeline(self, incident_id: str) -> list[Entry]:
        """What happened, in the order in which it was noted."""
        return self._timelines[incident_id]

    def get(self, incident_id: str) -> Incident | None:
        """An incident that is open or still remembered."""
        return self._kept.get(incident_id)

    def ordered(self, everything: bool = False) -> list[Incident]:
        """The open incidents, the most urgent first; with `everything` then the closed ones, newest first."""
        chosen = [incident for incident in self._kept.values() if everything or incident.open]
        return sorted(
            chosen, key=lambda one: (not one.open, one.tier if one.open else 0, -one.opened_at, one.id)
        )

    def documents(self, everything: bool = False) -> list[dict[str, Any]]:
        """`ordered` as JSON, moments in RFC 3339."""
        return [readable(incident.document()) for incident in self.ordered(everything)]

    def describe(self, incident_id: str) -> dict[str, Any] | None:
        """One incident as JSON, moments in RFC 3339, with its timeline and story; None if it is not known."""
        incident = self.get(incident_id)
        if incident is None:
            return None
        timeline = self.timeline(incident_id)
        return {
            **readable(incident.document()),
            "timeline": [entry.document() for entry in timeline],
            "story": story(incident, timeline),
        }

    def next_at(self) -> int | None:
        """When (ms) `step` has something to do without a new alert; None if never."""
        moments = [heard + self._settings.resolve_timeout for heard in self._heard.values()]
        for incident in self._kept.values():
            if incident.open and (ended_at := incident.ended_at) is not None:
                moments.append(max(ended_at, incident.changed_at) + self._settings.resolve_hold)
        return min(moments, default=None)

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        still_open = Counter(incident.tier.name for incident in self._kept.values() if incident.open)
        for tier in Tier:
            yield Sample("fleetowl_incidents_open", {"tier": tier.name}, still_open[tier.name])
            yield Sample("fleetowl_incidents_opened_total", {"tier": tier.name}, self.opened[tier.name])
        yield Sample("fleetowl_incidents_alerts_joined_total", {}, self.joined)

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return self._kept.dirty or self._timelines.dirty or self._numbering.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Take over the open incidents and the latest closed ones."""
        latest = select(INCIDENTS.c.id).where(INCIDENTS.c.resolved_at.is_not(None))
        latest = latest.order_by(INCIDENTS.c.opened_at.desc()).limit(self._settings.remembered)
        wanted = INCIDENTS.c.resolved_at.is_(None) | INCIDENTS.c.id.in_(latest)
        self._kept.load(tx, select(INCIDENTS).where(wanted))
        self._timelines.load(tx, list(self._kept))
        self._numbering.load(tx)
        self._open = OpenIncidents(self._topology, self._explains)
        self._place = {}
        for incident in self.ordered():
            for fingerprint, member in incident.members.items():
                self._open.add(incident, member)
                self._place[fingerprint] = incident.id
        self._heard = dict.fromkeys(self._place, now)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._kept.save(tx)
        self._timelines.save(tx)
        self._numbering.save(tx)

    def saved(self) -> None:
        """The commit succeeded; closed incidents beyond `remembered` leave the memory, not the store."""
        self._kept.saved()
        self._timelines.saved()
        self._numbering.saved()
        closed = [incident for incident in self._kept.values() if not incident.open]
        if len(closed) > self._settings.remembered:
            closed.sort(key=lambda incident: incident.opened_at)
            for incident in closed[: -self._settings.remembered]:
                self._kept.evict(incident.id)
                self._timelines.forget(incident.id)

    def _answered(self, incident_id: str, decision: Decision, now: int) -> Decision:
        if decision:
            incident = self._kept[incident_id]
            kind = "acknowledged" if incident.acknowledged_at is not None else "unacknowledged"
            self._kept.touch(incident_id)
            self.note(incident_id, now, kind, decision.why)
        return decision

    def _in_order(self, alerts: Sequence[Alert]) -> Iterator[tuple[Alert, frozenset[Entity]]]:
        """Known alerts as they come; new ones by their place in the topology, then by their start."""
        fresh = []
        for alert in alerts:
            if alert.fingerprint in self._place:
                yield alert, frozenset()
            else:
                fresh.append((alert, entities_of(alert.labels)))
        yield from sorted(fresh, key=_cause_first)

    def _take(self, alert: Alert, entities: frozenset[Entity], now: int) -> str:
        """The id of the alert's incident; empty for one that has none."""
        if alert.name in self._settings.ignored_alerts:
            return ""
        place = self._place.get(alert.fingerprint)
        if place is not None:
            self._update(self._kept[place], alert, now)
        elif alert.resolved_at(now):
            return ""
        else:
            place = self._admit(alert, entities, now)
        self._heard[alert.fingerprint] = now
        return place

    def _admit(self, alert: Alert, entities: frozenset[Entity], now: int) -> str:
        tie = self._open.tie(alert.name, entities, now - self._settings.window)
        if tie is None:
            incident = Incident(self._numbering.next(now), now, now, alert.tier)
            self._kept[incident.id] = incident
            why = "it opened the incident"
        else:
            incident, why = tie.incident, tie.why
        member = member_of(alert, entities, now, why, explained=tie is not None and tie.explained)
        incident.members[alert.fingerprint] = member
        self._place[alert.fingerprint] = incident.id
        self._open.add(incident, member)
        if tie is None:
            self.opened[incident.tier.name] += 1
            self.note(incident.id, now, "opened", f"opened by {_described(member)}")
        else:
            self.joined += 1
            self.note(incident.id, now, "joined", f"{_described(member)} joined: {why}")
            self._raise_tier(incident, member, now)
        self._touch(incident, now)
        return incident.id

    def _update(self, incident: Incident, alert: Alert, now: int) -> None:
        """An alert that is a member: its words, its end, its return."""
        known = incident.members[alert.fingerprint]
        ends_at = alert.ends_at if alert.resolved_at(now) else None
        if known.ends_at == ends_at:
            if known.annotations == alert.annotations:
                return
            incident.members[alert.fingerprint] = replace(known, annotations=alert.annotations)
            return
        if ends_at is not None and known.ends_at is not None:
            return  # the end is repeated in other words
        incident.members[alert.fingerprint] = replace(
            known, annotations=alert.annotations, ends_at=ends_at, starts_at=alert.starts_at
        )
        if ends_at is None:
            self.note(incident.id, now, "again", f"{known.title} fires again")
        else:
            self.note(incident.id, now, "ended", _end_of(known, ends_at))
        self._touch(incident, now)

    def _raise_tier(self, incident: Incident, member: Member, now: int) -> None:
        if member.tier < incident.tier:
            sentence = f"tier {incident.tier.name} became {member.tier.name} because of {member.title}"
            incident.tier = member.tier
            self.note(incident.id, now, "tier", sentence)

    def _touch(self, incident: Incident, now: int) -> None:
        incident.changed_at = now
        self._kept.touch(incident.id)
        self._grown.add(incident.id)

    def _widen(self, incident: Incident) -> None:
        """The blast radius never shrinks: edges fade, what was reached stays true."""
        reach = self._reach(incident)
        widest = {kind: max(reach.get(kind, 0), incident.reach.get(kind, 0)) for kind in REACH_KINDS}
        incident.reach = {kind: count for kind, count in widest.items() if count}

    def _reach(self, incident: Incident) -> dict[str, int]:
        """How many things of each kind the members stand for and carry: the blast radius."""
        reached: set[Entity] = set()
        for member in incident.members.values():
            reached |= member.entities
            subject = member.subject
            if subject is not None:
                reached |= self._topology.carried(subject)
        kinds = Counter(entity.kind for entity in reached if self._counts(entity))
        return {kind: kinds[kind] for kind in REACH_KINDS if kinds[kind]}

    def _counts(self, entity: Entity) -> bool:
        """A pod that serves nothing is no replica, and one with two names is one."""
        if entity.kind != "replica":
            return True
        carriers = {other.kind for other in self._topology.carriers(entity)}
        carried = {other.kind for other in self._topology.carried(entity)}
        return "replica" not in carriers and bool("gpu" in carriers or "service" in carried)

    def _end_silent(self, now: int) -> None:
        """An alert that nobody repeats has ended, or its incident would stay open for ever."""
        limit = now - self._settings.resolve_timeout
        for fingerprint in [key for key, heard in self._heard.items() if heard <= limit]:
            incident = self._kept[self._place[fingerprint]]
            member = incident.members[fingerprint]
            self._heard[fingerprint] = now
            if member.firing:
                incident.members[fingerprint] = replace(member, ends_at=now)
                silence = format_duration(self._settings.resolve_timeout)
                self.note(incident.id, now, "ended", f"{member.title} ended: not heard of for {silence}")
                self._touch(incident, now)

    def _close_if_over(self, incident: Incident, now: int) -> None:
        ended_at = incident.ended_at
        if ended_at is None or now - max(ended_at, incident.changed_at) < self._settings.resolve_hold:
            return
        incident.resolved_at = now
        lasted = format_duration(whole_seconds(now - incident.opened_at))
        count = len(incident.members)
        alerts = "its alert has" if count == 1 else f"all {count} alerts have"
        self.note(incident.id, now, "resolved", f"resolved after {lasted}: {alerts} ended")
        self._kept.touch(incident.id)
        self._open.remove(incident)
        for fingerprint in incident.members:
            del self._place[fingerprint]
            del self._heard[fingerprint]


def _cause_first(found: tuple[Alert, frozenset[Entity]]) -> tuple[int, int, tuple[tuple[str, str], ...]]:
    """A cause is looked at before what it causes, so that the first alerts of one tick find each other."""
    alert, entities = found
    subject = subject_of(entities)
    return (
        CAUSE_ORDER.index(subject.kind) if subject else len(CAUSE_ORDER),
        alert.starts_at,
        alert.labels.pairs,
    )


def _described(member: Member) -> str:
    labels = member.labels.without("alertname", "tier", "severity", "kind")
    return f"{member.tier.name} {member.name}{format_labels(labels) if labels else ''}"


def _end_of(member: Member, ends_at: int) -> str:
    lasted = format_duration(whole_seconds(max(0, ends_at - member.starts_at)))
    return f"{member.title} ended after {lasted}"
