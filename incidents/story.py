"""One incident as text that a person reads at 3 a.m.; it is Markdown that also reads well as it is."""

from __future__ import annotations

from collections.abc import Sequence

from incidents.incident import Incident
from incidents.member import Member
from incidents.text import inert, reach_of
from incidents.timeline import Entry
from model.moment import format_duration, format_moment, whole_seconds


def story(incident: Incident, timeline: Sequence[Entry]) -> str:
    """What, where, since when, how far it reaches, what to do first, and what happened so far."""
    lines = [f"# {incident.id}: {inert(incident.title)}", "", *_facts(incident), "", "## Alerts", ""]
    lines += [_member_line(member, incident.root) for member in _sorted_members(incident)]
    lines += ["", "## Timeline", ""]
    lines += [f"- {format_moment(entry.at)} {entry.kind}: {inert(entry.sentence)}" for entry in timeline]
    return "\n".join(lines) + "\n"


def _facts(incident: Incident) -> list[str]:
    root = incident.root
    state = "open" if incident.open else "resolved"
    facts = [
        f"- **State**: {state}, tier {incident.tier.name}",
        f"- **Since**: {format_moment(incident.opened_at)}{_length(incident)}",
        f"- **Most likely the cause**: {inert(root.title)}",
        f"- **Reaches**: {reach_of(incident)}",
    ]
    for key, label in (
        ("summary", "What"),
        ("description", "Details"),
        ("first_check", "First check"),
        ("runbook_url", "Runbook"),
    ):
        if root.annotations.get(key):
            facts.append(f"- **{label}**: {inert(root.annotations[key])}")
    return facts


def _length(incident: Incident) -> str:
    if incident.resolved_at is None:
        return ""
    return f", for {format_duration(whole_seconds(incident.resolved_at - incident.opened_at))}"


def _sorted_members(incident: Incident) -> list[Member]:
    return sorted(incident.members.values(), key=lambda member: (member.joined_at, member.labels.pairs))


def _member_line(member: Member, root: Member) -> str:
    state = "fires" if member.firing else "ended"
    mark = " (most likely the cause)" if member is root else ""
    since = format_moment(member.starts_at)
    return f"- {member.tier.name} {inert(member.title)}: {state}, since {since}{mark}; {inert(member.why)}"
