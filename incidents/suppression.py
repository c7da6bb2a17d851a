"""The stage `topology`: what is explained stays back, and what people know already is not told again.

An alert stays back
- while a cause that explains it is active, unless it is more urgent than its cause and than what was told;
- when its incident was told at its tier or a more urgent one, and what was told still fires;
- when it has ended and nobody was told that it fired, or while others of its incident go on.

Nothing is dropped: what stays back is a member of its incident with its reason, and comes back when its
last cause has been over for a while.
"""

from __future__ import annotations

from itertools import islice

from alertmanager.route import Route
from incidents.correlation import Incidents
from incidents.incident import Incident
from incidents.member import Member
from incidents.roles import Role
from incidents.settings import SETTLE
from model.alert import Alert, Tier
from model.decision import Decision, allow, refuse

MANY = 5
"""Who was told of so many things of which the same is said has been told that it is spreading."""


class TopologyStage:
    """Implements Stage over the incidents."""

    name = "topology"

    def __init__(self, incidents: Incidents) -> None:
        self._incidents = incidents

    @property
    def version(self) -> int:
        """Changes with what is known of the incidents."""
        return self._incidents.version

    def observe(self, alert: Alert, now: int) -> None:
        """Nothing: the incidents have heard of it before its group does."""

    def step(self, now: int) -> None:
        """Nothing: time passes in the incidents."""

    def holds(self, alert: Alert, route: Route, now: int) -> Decision:
        """Whether the alert stays back, and why."""
        member = self._incidents.by_fingerprint(alert.fingerprint)
        incident = None if member is None else self._incidents.get(member.incident)
        if member is None or member.voice != alert.incident:
            incident = self._incidents.get(self._incidents.final(alert.incident))
            member = None if incident is None else incident.members.get(alert.fingerprint)
        if incident is None or member is None:
            return refuse("it belongs to no incident that is known")
        if alert.resolved_at(now):
            return self._holds_end(member, incident, route)
        if member.told:
            return refuse("it was told already, and stays in its group until it ends")
        if member.explained:
            return self._holds_symptom(member, incident)
        return self._holds_known(member, incident, now)

    def _holds_end(self, member: Member, incident: Incident, route: Route) -> Decision:
        if not member.told and incident.told is None:
            return refuse("nobody was told of its incident")
        if not member.told:
            return allow(
                f"nobody was told that it fired ({member.held or 'it ended before its group was due'})"
            )
        if "incident" not in route.group_by:
            return refuse("its group is not that of its incident, and has an end of its own")
        goes_on = next((one for one in incident.told_firing.values() if one.voice == member.voice), None)
        if goes_on is not None:
            return allow(f"{incident.id} goes on with {goes_on.title}: the end is told with that of all")
        return refuse("all of its incident that was told has ended")

    def _holds_symptom(self, member: Member, incident: Incident) -> Decision:
        cause = self._incidents.by_fingerprint(member.cause)
        if incident.told is not None and incident.told <= member.tier:
            return allow(f"{member.why} ({incident.id}, told as {incident.told.name})")
        if cause is not None and cause.tier <= member.tier:
            return allow(f"{member.why} ({cause.incident})")
        return refuse(f"it is more urgent than what explains it and than what was told: {member.why}")

    def _holds_known(self, member: Member, incident: Incident, now: int) -> Decision:
        if incident.told is None or incident.told > member.tier:
            return refuse("nothing explains it, and nothing as urgent was told of its incident")
        since = now - self._incidents.cause_hold
        goes_on, known = None, False
        for one in incident.told_kin(member, self._incidents.may_explain(member)):
            known = True
            if one.active(since):
                goes_on = one
                break
        if not known and now - member.joined_at < SETTLE and _is_sign(member, incident):
            return allow(
                f"{incident.id} was told as {incident.told.name}, and this is likely of it: {member.why}"
            )
        if not known:
            return refuse(f"what was told of {incident.id} does not speak of it: {member.why}")
        if goes_on is None:
            return refuse("what was told of its incident has ended, and it still fires")
        return allow(
            f"{incident.id} was told already as {incident.told.name} with {goes_on.title}: {member.why}"
        )


def _is_sign(member: Member, incident: Incident) -> bool:
    """Whether it adds little to what was told: a symptom, or one more of many; nothing that is urgent."""
    if member.tier < Tier.P2:
        return False
    if member.sense.role in (Role.SYMPTOM, Role.WATCH):
        return True
    alike = (one for one in incident.told_members.values() if one.name == member.name)
    return member.sense.role is not Role.OTHER and len(list(islice(alike, MANY))) == MANY
