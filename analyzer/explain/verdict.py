"""The first line: did this page, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alertmanager.grouping import Group
from alertmanager.record_rows import Hold, Noted
from alertmanager.stages import Held
from analyzer.alerting import WATCHDOG
from analyzer.explain.told import ago, delivery_sentence, first_told
from model.moment import format_duration, format_moment


@dataclass(frozen=True)
class Facts:
    """What the verdict is made of. `state` is firing, pending or ended; times are ms, 0 is not known.

    `remembered` is whether the records reach back to this alert.
    """

    now: int
    name: str
    fingerprint: int
    state: str
    starts_at: int
    ends_at: int | None
    pending_for: str
    due_at: int
    held: Held | None
    holds: Sequence[Hold]
    told: Sequence[Noted]
    groups: Sequence[Group]
    receivers: Sequence[str]
    silent_receivers: Sequence[str]
    has_own_route: bool
    remembered: bool


def verdict_of(facts: Facts) -> str:
    """One sentence, or two, that a tired person understands."""
    paged = first_told(facts.told, facts.fingerprint)
    if facts.held is not None and facts.state == "firing":
        return _held(facts, paged, facts.held)
    if paged is not None:
        return _told(facts, paged)
    return f"{facts.name} paged nobody: {_reason(facts)}."


def _held(facts: Facts, paged: Noted | None, held: Held) -> str:
    why = f"the {held.stage} stage holds it back: {held.why}"
    if paged is None:
        return f"{facts.name} pages nobody: {why}."
    return (
        f"{facts.name} paged {paged.delivery.receiver} at {format_moment(paged.at)}, "
        f"and is held back since: {why}."
    )


def _told(facts: Facts, paged: Noted) -> str:
    after = ago(paged.at, facts.starts_at) if facts.starts_at else ""
    waited = f", {after} after it began" if after else ""
    receivers = sorted({one.delivery.receiver for one in facts.told if facts.fingerprint in one.firing})
    verb = "paged" if any(one.delivered for one in facts.told) else "was to page"
    sentence = (
        f"{facts.name} {verb} {', '.join(receivers)} at {format_moment(paged.at)}{waited}: {paged.why}; "
        f"{delivery_sentence(paged)}"
    )
    if facts.state == "ended" and facts.ends_at is not None:
        ended = [one for one in facts.told if facts.fingerprint in one.resolved]
        sentence += f". It ended at {format_moment(facts.ends_at)}"
        sentence += (
            f", and {ended[-1].delivery.receiver} was told" if ended else ", which nobody was told yet"
        )
    return f"{sentence}."


def _reason(facts: Facts) -> str:
    """Why nobody was told, where no stage holds the alert back now."""
    if facts.state == "pending":
        left = ago(facts.due_at, facts.now) if facts.due_at > facts.now else "the next evaluation"
        since = format_moment(facts.starts_at)
        return (
            f"it has not fired yet; it is pending since {since} (`for` is {facts.pending_for}, {left} to go)"
        )
    if facts.name == WATCHDOG and not facts.has_own_route:
        return "it is the dead man's signal, which always fires, and no route below the root asks for it"
    if facts.receivers and set(facts.receivers) <= set(facts.silent_receivers):
        return f"its receiver {', '.join(sorted(facts.receivers))} has no way to notify"
    if facts.state == "ended":
        return _ended(facts)
    if facts.groups:
        group = min(facts.groups, key=lambda one: one.due_at)
        wait = "group_interval" if group.flushed else "group_wait"
        span = group.route.group_interval if group.flushed else group.route.group_wait
        due = f"its group is due at {format_moment(group.due_at)}"
        return f"{due}, in {ago(group.due_at, facts.now)} ({wait} is {format_duration(span)})"
    return "it fires, and the dispatcher has not taken it yet"


def _ended(facts: Facts) -> str:
    if facts.holds:
        last = facts.holds[-1]
        return f"the {last.stage} stage held it back until it ended: {last.why}"
    if facts.ends_at is None or not facts.remembered:
        return "it is over, and no notification of the time that is remembered named it"
    return f"it ended after {ago(facts.ends_at, facts.starts_at)}, before its group was due"
