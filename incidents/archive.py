"""The incidents that are remembered, their members and timelines, in memory and on disk."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy import Connection, select

from incidents.incident import Incident
from incidents.member import Member
from incidents.numbering import Numbering
from incidents.settings import IncidentSettings
from incidents.tables import INCIDENTS, MemberRows, kept_incidents
from incidents.timeline import Entry, Timelines

log = logging.getLogger("fleetowl.incidents")


class Archive:
    """Open and closed incidents by id. `open` holds those that are not over; `version` counts changes."""

    def __init__(self, settings: IncidentSettings) -> None:
        self.settings = settings
        self.version = 0
        self.open: dict[str, Incident] = {}
        self.timelines = Timelines()
        self._incidents = kept_incidents()
        self._members = MemberRows()
        self._numbering = Numbering()
        self._closed: dict[str, Incident] = {}
        self._touched: set[str] = set()

    def touched(self) -> set[str]:
        """Which incidents have changed since the last question."""
        found, self._touched = self._touched, set()
        return found

    def get(self, incident_id: str) -> Incident | None:
        """An incident that is remembered."""
        return self._incidents.get(incident_id)

    def all(self) -> Iterable[Incident]:
        """Every one that is remembered."""
        return self._incidents.values()

    def begin(self, member: Member, now: int) -> Incident:
        """A new incident for an alert."""
        incident = Incident(self._numbering.next(now), now, now, member.tier)
        self._incidents[incident.id] = incident
        self.open[incident.id] = incident
        return incident

    def touch(self, incident: Incident) -> None:
        """It has changed: it is written with the next save."""
        self.version += 1
        self._touched.add(incident.id)
        self._incidents.touch(incident.id)

    def keep(self, member: Member) -> None:
        """A member is new or has changed."""
        self.version += 1
        self._members.keep(member)

    def tell(self, member: Member) -> None:
        """People were told of a member."""
        self.version += 1
        self._members.tell(member)

    def move(self, member: Member, before: str) -> None:
        """A member belongs to another incident than `before`."""
        self._members.drop(before, member.fingerprint)
        self.keep(member)

    def close(self, incident: Incident) -> None:
        """It is over, or part of another."""
        self.touch(incident)
        self.open.pop(incident.id, None)
        self._closed[incident.id] = incident

    def note(self, incident_id: str, at: int, kind: str, sentence: str, *, logged: bool = True) -> None:
        """Append to the timeline of an incident; what names no known incident is only logged."""
        if logged:
            named = sentence.startswith(incident_id) and incident_id
            log.info("%s", sentence if named else f"{incident_id or 'no incident'}: {sentence}")
        if incident_id in self._incidents:
            self.timelines.append(incident_id, Entry(at, kind, sentence))

    def _is_told(self, incident_id: str) -> bool:
        """Whether people were told of all members."""
        incident = self._incidents.get(incident_id)
        return incident is not None and len(incident.told_members) == len(incident.members)

    @property
    def dirty(self) -> bool:
        """Whether something is not on disk yet."""
        parts = (self._incidents, self._members, self.timelines, self._numbering)
        return any(part.dirty for part in parts)

    def load(self, tx: Connection) -> None:
        """Take over the open incidents and the latest closed ones."""
        latest = select(INCIDENTS.c.id).where(INCIDENTS.c.resolved_at.is_not(None))
        latest = latest.order_by(INCIDENTS.c.opened_at.desc()).limit(self.settings.remembered)
        wanted = INCIDENTS.c.resolved_at.is_(None) | INCIDENTS.c.id.in_(latest)
        self._incidents.load(tx, select(INCIDENTS).where(wanted))
        self.timelines.load(tx, list(self._incidents))
        self._numbering.load(tx)
        for incident_id, member in self._members.load(tx, select(INCIDENTS.c.id).where(wanted)):
            member.voice = member.voice or incident_id
            self._incidents[incident_id].add(member)
        self.open = {incident.id: incident for incident in self._incidents.values() if incident.open}
        self._closed = {one.id: one for one in self._incidents.values() if not one.open}
        self.version += 1

    def save(self, tx: Connection) -> None:
        """Write what changed."""
        self._incidents.save(tx)
        self._members.save(tx, self._is_told)
        self.timelines.save(tx)
        self._numbering.save(tx)

    def saved(self) -> None:
        """The commit succeeded; closed incidents beyond `remembered` leave the memory, not the store."""
        self._incidents.saved()
        self._members.saved()
        self.timelines.saved()
        self._numbering.saved()
        excess = len(self._closed) - self.settings.remembered
        if excess > 0:
            oldest = sorted(self._closed.values(), key=lambda incident: incident.opened_at)
            for incident in oldest[:excess]:
                del self._closed[incident.id]
                self._incidents.evict(incident.id)
                self.timelines.forget(incident.id)
