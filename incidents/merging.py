"""Two incidents that turn out to be one."""

from __future__ import annotations

from collections.abc import Iterator

from incidents.incident import REACH_KINDS, Incident
from incidents.member import Member


def absorb(kept: Incident, gone: Incident, now: int) -> Iterator[tuple[Member, str]]:
    """Move the members of `gone` into `kept`; yields each with the incident that it was of before.

    `gone` still shows them; from now on they are members of `kept` alone. What people were told of under the
    old id ends under that id; what they were not told of is told, if at all, under the new one.
    """
    gone.words = gone.title  # and its root stays what it was
    members = list(gone.members.values())
    was_told = gone.told is not None
    gone.heads.clear()
    gone.forget_told()
    gone.firing_count = 0
    gone.merged_into, gone.resolved_at, gone.changed_at = kept.id, now, now
    kept.tier = min(kept.tier, gone.tier)
    if kept.told is None and kept.acknowledged_at is None:  # who has what was told has what it became
        kept.acknowledged_by, kept.acknowledged_at = gone.acknowledged_by, gone.acknowledged_at
    if was_told and gone.told is not None:
        kept.told = gone.told if kept.told is None else min(kept.told, gone.told)
    kept.reach = {
        kind: max(kept.reach.get(kind, 0), gone.reach.get(kind, 0))
        for kind in REACH_KINDS
        if kept.reach.get(kind) or gone.reach.get(kind)
    }
    for member in members:
        if not member.told:
            member.voice = kept.id
        kept.add(member)
        yield member, gone.id
