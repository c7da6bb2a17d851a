"""What people were told of incidents: a ledger of the dispatcher's decisions."""

from __future__ import annotations

from collections.abc import Sequence

from alertmanager.notification import Notification, Outcome
from alertmanager.stages import Held
from incidents.admission import Admission
from incidents.archive import Archive
from incidents.incident import Incident
from incidents.member import Member
from model.alert import Alert
from model.decision import Decision


class Telling:
    """Notes at each member whether it was told, and why not; implements Ledger."""

    def __init__(self, admission: Admission, archive: Archive) -> None:
        self._admission = admission
        self._archive = archive

    def decided(self, notification: Notification, now: int) -> None:
        """The alerts that it names as firing are told from now on."""
        for alert in notification.alerts:
            member = self._admission.members.get(alert.fingerprint)
            if member is None or alert.resolved_at(now) or member.voice != alert.incident:
                continue
            incident = self._archive.open.get(member.incident)
            if incident is not None:
                self._note(member, incident, alert)

    def answered(self, notification: Notification, outcome: Outcome, decision: Decision, now: int) -> None:
        """Nothing: the sentence reaches the timeline by `Incidents.note`."""

    def held(self, group_key: str, receiver: str, held: Sequence[Held], now: int) -> None:
        """The reason stays at the member until it is told."""
        for one in held:
            member = self._admission.members.get(one.alert.fingerprint)
            reason = f"{one.stage}: {one.why}"
            if member is not None and not member.told and member.held != reason:
                member.held = reason
                self._archive.keep(member)

    def changed(self, alerts: Sequence[Alert], now: int) -> None:
        """Nothing: `Incidents.step` has heard of it."""

    def _note(self, member: Member, incident: Incident, alert: Alert) -> None:
        if not member.told:
            member.told, member.held = True, ""
            incident.note_told(member)
            self._archive.tell(member)
        if incident.told is None or alert.tier < incident.told:
            incident.told = alert.tier
            self._archive.touch(incident)
