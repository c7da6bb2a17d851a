"""Somebody says that an incident is theirs, or is not any more."""

from __future__ import annotations

from incidents.incident import Incident
from model.decision import Decision, allow, refuse

LONGEST_NAME = 100


def acknowledged(incident: Incident | None, who: str, now: int, how: str = "") -> Decision:
    """Note in the incident that it is `who`'s from `now` (ms) on, unless that cannot be."""
    name = readable_name(who)
    if incident is None:
        return refuse("there is no such incident")
    if not name:
        return refuse("say who acknowledges: a name of at least one letter")
    if not incident.open:
        return refuse(f"{incident.id} is over: there is nothing to acknowledge")
    before = incident.acknowledged_by
    if incident.acknowledged_at is not None and before == name:
        return refuse(f"{name} has {incident.id} already")
    incident.acknowledged_by, incident.acknowledged_at = name, now
    manner = f" by {how}" if how else ""
    taken = f", who takes it over from {before}" if before else ""
    return allow(f"{incident.id} was acknowledged{manner}: {name} has it{taken}")


def unacknowledged(incident: Incident | None, who: str, why: str = "") -> Decision:
    """Take the acknowledgement back, unless there is none."""
    if incident is None:
        return refuse("there is no such incident")
    if incident.acknowledged_at is None:
        return refuse(f"nobody has acknowledged {incident.id}")
    if not incident.open:
        return refuse(f"{incident.id} is over: there is nothing to give back")
    before, name = incident.acknowledged_by, readable_name(who) or "somebody"
    incident.acknowledged_by, incident.acknowledged_at = "", None
    because = f": {readable_reason(why)}" if why else ""
    if name == before:
        return allow(f"{name} gave {incident.id} back{because}")
    return allow(f"{name} took {incident.id} from {before}{because}")


def readable_name(who: str) -> str:
    """A name as one line of bounded length; what does not print is gone.

    >>> readable_name("  ada\\n lovelace ")
    'ada lovelace'
    """
    return readable_reason(who)[:LONGEST_NAME]


def readable_reason(why: str) -> str:
    """What somebody wrote, as one line that prints."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in why).split())
