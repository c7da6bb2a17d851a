"""What a message says of an incident beyond its alerts: likely cause, reach, what was held back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from alertmanager.notification import Brief
from incidents.incident import Incident
from incidents.member import Member
from incidents.text import inert, reach_of, share_of

NAMED = 3
"""So many names of alerts that were held back are spelled out in a message."""


def brief(name: str, incident: Incident, external_url: str) -> Brief:
    """The brief of an incident under the id that the group has."""
    url = f"{external_url.rstrip('/')}/api/v1/incidents/{quote(incident.id, safe='')}" if external_url else ""
    return Brief(name, inert(incident.title), tuple(_lines(incident)), url)


def _lines(incident: Incident) -> Iterator[str]:
    if incident.members:
        yield f"Most likely the cause: {inert(incident.root.title)}."
    yield f"Reaches {reach_of(incident)}."
    shares = share_of(incident)
    if shares:
        yield f"Hits {shares}."
    held = [member for member in incident.members.values() if member.explained and not member.told]
    if held:
        yield held_back(held)
    if incident.firing_count == 0 and len(incident.members) > 1:
        yield f"All {len(incident.members)} alerts have ended."


def held_back(held: Sequence[Member]) -> str:
    """How many of which: `12 symptoms held back: 8 x EngineGone, 4 x HighTTFT`."""
    counts = Counter(member.name for member in held).most_common()
    named = ", ".join(f"{count} x {inert(name)}" for name, count in counts[:NAMED])
    more = f" and {len(counts) - NAMED} other kinds" if len(counts) > NAMED else ""
    return f"{len(held)} symptom{'s' if len(held) > 1 else ''} held back: {named}{more}."
