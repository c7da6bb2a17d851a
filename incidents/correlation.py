"""Alerts to incidents: open, join, grow, merge, hold, resolve; every change is an entry of the timeline.

    alerts = incidents.step(now, alerts)       # the same alerts, each with its incident
    incidents.note(id, now, "notified", str(decision))

An incident is over when all its alerts have ended for `resolve_hold`; an alert that comes back before
that comes back into the same incident.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from alertmanager.notification import Brief
from incidents.admission import Admission
from incidents.archive import Archive
from incidents.brief import brief
from incidents.checklist import checklist_of
from incidents.deadlines import Deadlines
from incidents.figures import METRICS, Figures
from incidents.incident import Incident, readable
from incidents.known import KNOWN, Explains, merged
from incidents.member import Member
from incidents.people.acknowledgement import acknowledged, unacknowledged
from incidents.postmortem import postmortem
from incidents.settings import IncidentSettings
from incidents.story import story
from incidents.telling import Telling
from incidents.timeline import Entry
from incidents.topology_feed import TopologyFeed
from model.alert import Alert
from model.decision import Decision
from model.labels import Labels
from model.metric import Sample
from model.moment import format_duration, whole_seconds
from model.topology import Entity, Topology

__all__ = ["METRICS", "Incidents"]

log = logging.getLogger("fleetowl.incidents")


class Incidents:
    """All open incidents and the latest closed ones; implements Durable.

    `feed` learns the topology from the alerts' labels, too; `unsettled` says of an alert that has ended
    whether it is likely to come back (the flap stage knows), which keeps its incident open.
    """

    def __init__(
        self,
        settings: IncidentSettings,
        topology: Topology,
        explains: Explains | None = None,
        feed: TopologyFeed | None = None,
        unsettled: Callable[[int, int], bool] = lambda fingerprint, now: False,
    ) -> None:
        self.unsettled = unsettled
        self.external_url = ""
        self.figures = Figures()
        self._settings = settings
        self._topology = topology
        self._feed = feed or TopologyFeed(topology)
        self._archive = Archive(settings)
        self._deadlines = Deadlines()
        self._admission = Admission(settings, topology, self._archive, self._deadlines, self.figures)
        self.telling = Telling(self._admission, self._archive)
        self._configure(explains)

    @property
    def opened(self) -> Any:
        """How many were opened, by tier."""
        return self.figures.opened

    @property
    def version(self) -> int:
        """Changes whenever who is explained by whom, or was told, may have changed."""
        return self._archive.version

    @property
    def cause_hold(self) -> int:
        """How long (ms) after the end of its last cause a symptom stays held back."""
        return self._settings.cause_hold

    def step(self, now: int, alerts: Sequence[Alert]) -> list[Alert]:
        """Bring the incidents to `now`; returns the alerts, in their order, with their incidents."""
        members = self._admission.members
        fresh: list[tuple[Alert, frozenset[Entity]]] = []
        ignored = self._settings.ignored_alerts
        for alert in alerts:
            member = members.get(alert.labels.fingerprint)
            if member is not None:
                self._admission.hear(member, alert, now)
            elif not (alert.resolved_at(now) or alert.name in ignored):
                fresh.append((alert, self._feed.observe_alert(alert.labels, now)))
        self._admission.take(fresh, now)
        self._end_silent(now)
        self._admission.finish(now)
        self._close(now)
        return [_placed(alert, members) for alert in alerts]

    def reconfigure(self, settings: IncidentSettings, explains: Explains | None = None) -> None:
        """Take other settings and rules' `explains`; open incidents stay as they are."""
        self._settings = settings
        self._topology.keep = settings.topology_retention
        self._archive.settings = settings
        self._admission.settings = settings
        self._configure(explains)

    def _configure(self, explains: Explains | None) -> None:
        own = merged(explains or {}, self._settings.explains)
        strict = {*own, *(name for names in own.values() for name in names)}
        self._admission.explanations.configure(merged(KNOWN, own), strict)

    def note(self, incident_id: str, at: int, kind: str, sentence: str, *, logged: bool = True) -> None:
        """Append to the timeline of an incident; what names no known incident is only logged."""
        self._archive.note(incident_id, at, kind, sentence, logged=logged)

    def touched(self) -> set[str]:
        """Which incidents have changed since the last question: opened, grown, answered, told or over."""
        return self._archive.touched()

    def event(self, node: str, at: int, sentence: str, noted: Collection[str] = ()) -> list[str]:
        """Something happened on a node: it belongs to the open incidents that speak of that node.

        Returns the ids of those in which it was noted; where it was `noted` already it is not again.
        """
        found = self._admission.incidents_on(Entity("node", node)) - set(noted)
        for incident_id in sorted(found):
            self.note(incident_id, at, "event", sentence)
        return sorted(found)

    def acknowledge(self, incident_id: str, who: str, now: int, how: str = "") -> Decision:
        """Somebody says that the incident is theirs; `how` they said it (a link, the CLI)."""
        final = self.final(incident_id)
        return self._answered(final, acknowledged(self.get(final), who, now, how), now)

    def unacknowledge(self, incident_id: str, who: str, now: int, why: str = "") -> Decision:
        """It is nobody's again: `who` gives it back, or it has become another matter."""
        final = self.final(incident_id)
        return self._answered(final, unacknowledged(self.get(final), who, why), now)

    def is_acknowledged(self, incident_id: str) -> bool:
        """Whether somebody has it."""
        incident = self.get(self.final(incident_id))
        return incident is not None and incident.acknowledged_at is not None

    def _answered(self, incident_id: str, decision: Decision, now: int) -> Decision:
        incident = self.get(incident_id)
        if decision and incident is not None:
            kind = "acknowledged" if incident.acknowledged_at is not None else "unacknowledged"
            self._archive.touch(incident)
            self.note(incident_id, now, kind, decision.why)
        return decision

    def final(self, incident_id: str) -> str:
        """The incident that this one has become part of, or itself."""
        incident = self._archive.get(incident_id)
        while incident is not None and incident.merged_into:
            incident_id = incident.merged_into
            incident = self._archive.get(incident_id)
        return incident_id

    def timeline(self, incident_id: str) -> list[Entry]:
        """What happened, in the order in which it was noted."""
        return self._archive.timelines[incident_id]

    def get(self, incident_id: str) -> Incident | None:
        """An incident that is open or still remembered."""
        return self._archive.get(incident_id)

    def member(self, labels: Labels) -> Member | None:
        """What is known of an alert that belongs to an open incident."""
        return self._admission.members.get(labels.fingerprint)

    def by_fingerprint(self, fingerprint: int) -> Member | None:
        """The same, by the alert's fingerprint."""
        return self._admission.members.get(fingerprint)

    def may_explain(self, member: Member) -> bool:
        """Whether an alert could be the cause of others."""
        return self._admission.explanations.may_explain(member)

    def ordered(self, everything: bool = False) -> list[Incident]:
        """The open incidents, the most urgent first; with `everything` then the closed ones, newest first."""
        chosen = list(self._archive.all() if everything else self._archive.open.values())
        return sorted(
            chosen, key=lambda one: (not one.open, one.tier if one.open else 0, -one.opened_at, one.id)
        )

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
            "checklist": [item._asdict() for item in checklist_of(incident)],
            "postmortem": postmortem(incident, timeline),
        }

    def briefs(self, incident_ids: Sequence[str]) -> list[Brief]:
        """What a message says of these incidents beyond its alerts."""
        found = [(incident_id, self.get(self.final(incident_id))) for incident_id in incident_ids]
        return [brief(name, one, self.external_url) for name, one in found if one is not None]

    def samples(self) -> Iterator[Sample]:
        """Own metrics."""
        return self.figures.samples(self._archive.open.values())

    def next_at(self) -> int | None:
        """When (ms) `step` has something to do without a new alert; None if never."""
        return self._deadlines.next_at()

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        return self._archive.dirty

    def load(self, tx: Connection, now: int) -> None:
        """Take over the open incidents and the latest closed ones."""
        self._archive.load(tx)
        self._deadlines.clear()
        self._admission.restore(now)
        for incident in self._archive.open.values():
            if not incident.firing_count:
                self._deadlines.over(now, incident.id)

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._archive.save(tx)

    def saved(self) -> None:
        """The commit succeeded; closed incidents beyond `remembered` leave the memory, not the store."""
        self._archive.saved()

    def _end_silent(self, now: int) -> None:
        """An alert that nobody repeats has ended, or its incident would stay open for ever."""
        limit = self._settings.resolve_timeout
        for fingerprint in self._deadlines.silent(now):
            member = self._admission.members.get(fingerprint)
            if member is None or not member.firing:
                continue
            if member.heard + limit > now:
                self._deadlines.hear(member.heard + limit, fingerprint)
                continue
            why = f"{member.title} ended: not heard of for {format_duration(limit)}"
            self._admission.end(member, now, now, why)

    def _close(self, now: int) -> None:
        for incident_id in self._deadlines.ended(now):
            incident = self._archive.open.get(incident_id)
            ended_at = None if incident is None or incident.firing_count else incident.ended_at
            if incident is None or ended_at is None:
                continue
            due = max(ended_at, incident.changed_at) + self._settings.resolve_hold
            if due <= now and self._comes_back(incident, now):
                due = now + self._settings.resolve_hold + 1
            if due > now:
                self._deadlines.over(due, incident_id)
            else:
                self._resolve(incident, now)

    def _comes_back(self, incident: Incident, now: int) -> bool:
        return any(self.unsettled(fingerprint, now) for fingerprint in incident.members)

    def _resolve(self, incident: Incident, now: int) -> None:
        incident.resolved_at = now
        lasted = format_duration(whole_seconds(now - incident.opened_at))
        count = len(incident.members)
        alerts = "its alert has" if count == 1 else f"all {count} alerts have"
        self.note(incident.id, now, "resolved", f"resolved after {lasted}: {alerts} ended")
        self._admission.forget(incident)
        self._archive.close(incident)


def _placed(alert: Alert, members: dict[int, Member]) -> Alert:
    member = members.get(alert.labels.fingerprint)
    voice = "" if member is None else member.voice
    if alert.incident == voice:
        return alert
    return Alert(
        alert.labels,
        alert.annotations,
        alert.starts_at,
        alert.ends_at,
        alert.value,
        alert.generator_url,
        voice,
        alert.kind,
        alert.deadline,
        alert.entity,
        alert.runbook,
    )
