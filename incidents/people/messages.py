"""What people read: headlines, the state of a P0, several incidents in one message."""

from __future__ import annotations

from collections.abc import Sequence

from alertmanager.notification import Page
from incidents.incident import Incident
from incidents.member import Member
from incidents.people.course import Course
from incidents.people.growth import Reason, reach_text
from incidents.timeline import Entry
from model.alert import Alert, Tier
from model.moment import format_duration, whole_seconds

MOST_ALERTS = 50
"""A page lists so many alerts of an incident; the incident has the rest."""

_ROUTINE = ("notified", "not notified", "status", "paged")
"""What is no change of the matter itself."""


def headline(incident: Incident, reason: Reason, level: Tier, deadline: int) -> str:
    """One line that says what, how urgent, and what is asked of the reader."""
    urgent = incident.tier.name if level is incident.tier else f"{incident.tier.name}, as {level.name}"
    asked = "" if incident.acknowledged_at else f" (acknowledge within {format_duration(deadline)})"
    news = "" if reason.name == "first" else f": {reason.sentence}"
    return f"{urgent} {incident.id} {incident.title}{news}{asked}"


def alerts_of(incident: Incident) -> tuple[Alert, ...]:
    """Its alerts that fire, the likely cause first; at most MOST_ALERTS."""
    root = incident.root
    firing = sorted(incident.firing, key=lambda one: (one is not root, one.tier, one.starts_at))
    return tuple(alert_of(member, incident.id) for member in firing[:MOST_ALERTS])


def alert_of(member: Member, incident: str) -> Alert:
    """A member as the alert that it was."""
    return Alert(
        labels=member.labels,
        annotations=member.annotations,
        starts_at=member.starts_at,
        ends_at=member.ends_at,
        generator_url=member.generator_url,
        incident=incident,
    )


def end_page(incident: Incident, name: str, receiver: str, now: int) -> Page:
    """It is over. `name` is the incident that the receiver was paged of, this one or a part of it."""
    lasted = format_duration(whole_seconds(now - incident.opened_at))
    part = "" if name == incident.id else f" (as part of {incident.id})"
    title = f"{name} is over{part} after {lasted}: {incident.title}"
    why = f"{name}: it is over, and {receiver} was paged of it"
    members = sorted(incident.members.values(), key=lambda one: (one is not incident.root, one.tier))
    alerts = tuple(alert_of(member, name) for member in members[:MOST_ALERTS])
    return Page(f"over:{name}:{receiver}", receiver, title, why, alerts, incident.tier, resolved=True)


def status_page(
    incident: Incident, course: Course, changed: Sequence[Entry], receiver: str, since: int, now: int
) -> Page:
    """State, since when, reach, who has it, and what has changed since the last one."""
    lasts = format_duration(whole_seconds(now - incident.opened_at))
    has = f"{incident.acknowledged_by} has it" if incident.acknowledged_at else _waiting(course)
    title = (
        f"P0 {incident.id} {incident.title}: open for {lasts}, reaches {reach_text(incident.reach)}, {has}"
    )
    news = [entry.sentence for entry in changed if entry.kind not in _ROUTINE]
    ago = format_duration(whole_seconds(now - since))
    more = f"{len(news) - 5} more; " if len(news) > 5 else ""
    why = f"in the last {ago}: {more}{'; '.join(news[-5:])}" if news else f"no change in the last {ago}"
    key = f"status:{incident.id}:{course.statuses}:{receiver}"
    return Page(key, receiver, title, why, alerts_of(incident), Tier.P0)


def _waiting(course: Course) -> str:
    return f"nobody has it, notified: {course.notified}" if course.notified else "nobody has it"


def bundle(key: str, receiver: str, pages: Sequence[Page]) -> Page:
    """Several pages to one receiver as one."""
    tier = min(page.tier for page in pages)
    alerts = [alert for page in pages for alert in page.alerts]
    why = "; ".join(page.why for page in pages[:10])
    more = f"; and {len(pages) - 10} more" if len(pages) > 10 else ""
    title = f"{len(pages)} incidents need somebody: " + "; ".join(page.headline for page in pages[:3])
    title += f"; and {len(pages) - 3} more" if len(pages) > 3 else ""
    return Page(key, receiver, title, why + more, tuple(alerts[:MOST_ALERTS]), tier)
