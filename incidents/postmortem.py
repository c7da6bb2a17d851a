"""One incident as a Markdown post-mortem: what is known is filled in, what only people know is asked for.

Label values and annotations are data: they are inert, also where a renderer turns the text into HTML.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from incidents.checklist import PHASES, checklist_of
from incidents.incident import Incident
from incidents.member import Member
from incidents.text import inert_markdown, reach_of, share_of
from incidents.timeline import Entry
from model.labels import format_labels
from model.moment import format_duration, format_moment, whole_seconds

LISTED = 100
"""So many alerts are listed one by one in each part; more are counted by name."""

_NOTIFIED = ("notified", "not notified", "escalated", "acknowledged", "unacknowledged", "paged")


def postmortem(incident: Incident, timeline: Sequence[Entry]) -> str:
    """The whole document."""
    parts = [
        [f"# Post-mortem of {incident.id}: {inert_markdown(incident.title)}"],
        [
            "## Summary",
            *_summary(incident),
            "",
            "_What happened, in three sentences for somebody who was not there:_",
        ],
        ["## Impact", *_impact(incident), "", "_What did users notice, and for how long:_"],
        ["## Most likely cause, and the evidence", *_cause(incident), "", "_What it really was:_"],
        ["## Held back, and why", *_held(incident)],
        ["## Notifications and answers", *_entries(timeline, _NOTIFIED)],
        ["## Actions", *_entries(timeline, ("action",))],
        ["## Timeline", *_entries(timeline, ())],
        ["## Checklist", *_checklist(incident)],
        ["## What we change", "", "| what | who | until |", "| --- | --- | --- |", "| | | |"],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _summary(incident: Incident) -> Iterator[str]:
    end = incident.resolved_at
    lasted = f", {format_duration(whole_seconds(end - incident.opened_at))} long" if end is not None else ""
    yield ""
    yield f"- **State**: {incident.state}, tier {incident.tier.name}"
    yield f"- **From**: {format_moment(incident.opened_at)}"
    yield f"- **To**: {format_moment(end) if end is not None else 'still open'}{lasted}"
    yield f"- **Alerts**: {len(incident.members)}, of which people were told of {len(incident.told_members)}"
    if incident.acknowledged_by and incident.acknowledged_at is not None:
        when = format_moment(incident.acknowledged_at)
        yield f"- **Acknowledged**: by {inert_markdown(incident.acknowledged_by)} at {when}"
    if incident.merged_into:
        yield f"- **Part of**: {incident.merged_into}"


def _impact(incident: Incident) -> Iterator[str]:
    yield ""
    yield f"- **Reached**: {inert_markdown(reach_of(incident))}"
    shares = share_of(incident)
    if shares:
        yield f"- **Share of the replicas**: {inert_markdown(shares)}"


def _cause(incident: Incident) -> Iterator[str]:
    yield ""
    if not incident.members:
        yield "Its alerts are with the incident that it became part of."
        return
    root = incident.root
    yield f"**{inert_markdown(root.title)}**: `{_code(format_labels(root.labels))}`"
    for key in ("summary", "description"):
        if root.annotations.get(key):
            yield f"- {inert_markdown(root.annotations[key])}"
    for member in list(incident.heads.values())[:LISTED]:
        since = format_moment(member.starts_at)
        yield f"- {inert_markdown(member.title)} since {since}: {inert_markdown(member.why)}"


def _held(incident: Incident) -> Iterator[str]:
    held = [member for member in incident.members.values() if not member.told]
    yield ""
    if not held:
        yield "Nothing: people were told of every alert."
    for member in held[:LISTED]:
        yield f"- {inert_markdown(member.title)}: {inert_markdown(member.held or member.why)}"
    if len(held) > LISTED:
        yield f"- and {len(held) - LISTED} more: {_counted(held[LISTED:])}"


def _entries(timeline: Sequence[Entry], kinds: Sequence[str]) -> Iterator[str]:
    chosen = [entry for entry in timeline if not kinds or entry.kind in kinds]
    yield ""
    if not chosen:
        yield "None."
    for entry in chosen:
        yield f"- {format_moment(entry.at)} {inert_markdown(entry.kind)}: {inert_markdown(entry.sentence)}"


def _checklist(incident: Incident) -> Iterator[str]:
    items = checklist_of(incident)
    for phase in PHASES:
        yield ""
        yield f"**{phase.capitalize()}**"
        yield ""
        for item in items:
            if item.phase == phase:
                yield f"- [ ] {inert_markdown(item.text)}"


def _counted(members: Sequence[Member]) -> str:
    counts = Counter(member.name for member in members)
    return ", ".join(f"{count} x {inert_markdown(name)}" for name, count in counts.most_common())


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
