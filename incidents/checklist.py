"""What people do: to respond, to resolve, afterwards. From the tier and from what the alerts' rules say."""

from __future__ import annotations

from typing import NamedTuple

from incidents.incident import Incident
from model.alert import Tier, deadline_of, kind_of
from model.moment import format_duration

PHASES = ("respond", "resolve", "afterwards")


class Item(NamedTuple):
    """One thing to do, and in which phase."""

    phase: str
    text: str


_RESOLVE = (
    Item("resolve", "Confirm or reject the most likely cause with a figure, not by its plausibility."),
    Item(
        "resolve",
        "Stop what makes it worse before repairing what is broken: drain, shift traffic, roll back.",
    ),
    Item(
        "resolve", "Watch that the figures of the users are back to normal, not only that the alerts ended."
    ),
)
_AFTERWARDS = (
    Item("afterwards", "Undo what was done by hand: cordons, silences, changed limits."),
    Item("afterwards", "Look at what was held back, and whether it belonged to this incident."),
    Item("afterwards", "Write down what would have shown it earlier, and who does it until when."),
)


def checklist_of(incident: Incident) -> tuple[Item, ...]:
    """The list for one incident."""
    return (*_respond(incident), *_resolve(incident), *_AFTERWARDS)


def _respond(incident: Incident) -> tuple[Item, ...]:
    kinds = [kind_of(member.labels) for member in incident.heads.values()] or [""]
    deadline = format_duration(min(deadline_of(incident.tier, kind) for kind in kinds))
    items = [Item("respond", f"Acknowledge within {deadline}: `fleetowl incidents ack {incident.id}`.")]
    if incident.tier <= Tier.P1:
        items.append(
            Item("respond", "Say who leads, and tell those who depend on the services that are hit.")
        )
    if incident.members and (check := incident.root.annotations.get("first_check")):
        items.append(Item("respond", f"First check: {check}"))
    return tuple(items)


def _resolve(incident: Incident) -> tuple[Item, ...]:
    pages = [member.annotations.get("runbook_url") for member in incident.heads.values()]
    runbooks = tuple(Item("resolve", f"Follow the runbook: {page}") for page in dict.fromkeys(pages) if page)
    return (*runbooks, *_RESOLVE)
