"""The first line: did this page, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from alertmanager.grouping import Group
from alertmanager.notification import Delivery
from alertmanager.record_rows import Hold, Noted
from alertmanager.stages import Held
from analyzer.alerting import WATCHDOG
from analyzer.explain.told import ago, delivery_sentence
from model.moment import format_duration, format_moment


@dataclass(frozen=True)
class Facts:
    """What the verdict is made of. `state` is firing, pending or ended; times are ms, 0 is not known.

    `held` says by receiver what holds the alert back from all its groups; `told` are all notifications
    that named it, also before it began anew. `remembered` is whether the records reach back to it.
    """

    now: int
    name: str
    fingerprint: int
    state: str
    starts_at: int
    ends_at: int | None
    pending_for: str
    due_at: int
    held: Mapping[str, Held]
    holds: Sequence[Hold]
    told: Sequence[Noted]
    groups: Sequence[Group]
    receivers: Sequence[str]
    silent_receivers: Sequence[str]
    has_own_route: bool
    remembered: bool
    heard_at: int = 0

    @property
    def since(self) -> int:
        """From when on a notification is of this one: a sender's clock may be ahead of ours."""
        return min(self.starts_at, self.heard_at) if self.heard_at else self.starts_at

    @property
    def current(self) -> list[Noted]:
        """The notifications since it began."""
        return [one for one in self.told if one.at >= self.since]


def verdict_of(facts: Facts) -> str:
    """One sentence, or a few, that a tired person understands."""
    told = _first_by_receiver(facts)
    if not told:
        held = [facts.held[one] for one in facts.receivers if one in facts.held]
        if facts.state == "firing" and held and set(facts.receivers) <= facts.held.keys():
            return f"{facts.name} pages nobody: {_stage(held[0])}."
        return f"{facts.name} paged nobody: {_reason(facts)}."
    sentences = _told(facts, told)
    if facts.state == "firing":
        sentences += _others(facts, told)
    sentences += _end(facts)
    return " ".join(f"{one}." for one in sentences)


def _stage(held: Held) -> str:
    return f"the {held.stage} stage holds it back: {held.why}"


def _first_by_receiver(facts: Facts) -> dict[str, Noted]:
    """Of each receiver the first notification that it took, or else the first one of all."""
    found: dict[str, Noted] = {}
    for one in facts.current:
        before = found.get(one.delivery.receiver)
        if facts.fingerprint in one.firing and (before is None or (one.delivered and not before.delivered)):
            found[one.delivery.receiver] = one
    return found


def _told(facts: Facts, told: Mapping[str, Noted]) -> list[str]:
    """Who was told, those that took the same at the same moment in one sentence."""
    alike: dict[tuple[object, ...], list[Noted]] = {}
    for one in sorted(told.values(), key=lambda noted: (noted.at, noted.delivery)):
        alike.setdefault((one.at, one.why, one.delivered, one.delivery.receiver in facts.held), []).append(
            one
        )
    return [_telling(facts, noted, first=not place) for place, noted in enumerate(alike.values())]


def _telling(facts: Facts, noted: Sequence[Noted], *, first: bool) -> str:
    one = noted[0]
    receivers = ", ".join(each.delivery.receiver for each in noted)
    name = facts.name if first else "It"
    after = f", {ago(one.at, facts.starts_at)} after it began" if 0 < facts.starts_at <= one.at else ""
    verb = "paged" if one.delivered else "tried to page"
    said = f"{name} {verb} {receivers}"
    if len(one.firing) > 1 and facts.name not in one.title:
        # It stood in the list of a message whose subject is something else, most often its cause.
        to = f"{'was' if one.delivered else 'is'} named in the page {'to' if one.delivered else 'for'}"
        said = f"{name} {to} {receivers} about {one.title!r}"
    held = facts.held.get(one.delivery.receiver)
    if held is not None and facts.state == "firing":
        lacks = "" if one.delivered else f"; {delivery_sentence(one)}"
        return f"{said} at {format_moment(one.at)}, and is held back since: {_stage(held)}{lacks}"
    answers = "; ".join(delivery_sentence(each) for each in noted)
    return f"{said} at {format_moment(one.at)}{after}: {one.why}; {answers}"


def _others(facts: Facts, told: Mapping[str, Noted]) -> list[str]:
    """Of the receivers that were not told, why."""
    found = []
    for receiver in dict.fromkeys(facts.receivers):
        if receiver in told or receiver in facts.silent_receivers:
            continue
        held = facts.held.get(receiver)
        why = f"the {held.stage} stage holds it back from there: {held.why}" if held else ""
        groups = [group for group in facts.groups if group.route.receiver == receiver]
        why = why or _believed(facts, receiver) or (_due(groups) if groups else "")
        found += [f"{receiver} was not told: {why}"] if why else []
    return found


def _end(facts: Facts) -> list[str]:
    if facts.state != "ended" or facts.ends_at is None:
        return []
    ended = [one for one in facts.current if facts.fingerprint in one.resolved]
    heard = sorted({one.delivery.receiver for one in ended if one.delivered})
    missing = sorted({one.delivery.receiver for one in ended} - set(heard))
    sentence = f"It ended at {format_moment(facts.ends_at)}"
    if heard:
        sentence += f", and {', '.join(heard)} {'was' if len(heard) == 1 else 'were'} told"
    if missing:
        sentence += f", which {', '.join(missing)} {'has' if len(missing) == 1 else 'have'} not taken yet"
    return [sentence if ended else f"{sentence}, which nobody was told yet"]


def _believed(facts: Facts, receiver: str | None = None) -> str:
    """Which receivers took that it fires when it did so before, and have not heard of the end of that."""
    last: dict[Delivery, Noted] = {}
    for one in facts.told:
        if one.at < facts.since and one.delivered and receiver in (None, one.delivery.receiver):
            last[one.delivery] = one
    firing = [one for one in last.values() if facts.fingerprint in one.firing]
    if not firing:
        return ""
    names = sorted({one.delivery.receiver for one in firing})
    verb = "believes" if len(names) == 1 else "believe"
    told_at = format_moment(max(one.at for one in firing))
    if facts.state == "ended":
        verb = "believed"
    return f"it was no news: {', '.join(names)} still {verb} that the earlier one fires, told at {told_at}"


def _due(groups: Sequence[Group]) -> str:
    group = min(groups, key=lambda one: one.due_at)
    wait = "group_interval" if group.flushed else "group_wait"
    span = group.route.group_interval if group.flushed else group.route.group_wait
    return f"its group is due at {format_moment(group.due_at)} ({wait} is {format_duration(span)})"


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
    believed = _believed(facts)
    if believed:
        return believed
    held = next((facts.held[one] for one in facts.receivers if one in facts.held), None)
    if held is not None:
        return _stage(held)
    if facts.groups:
        group = min(facts.groups, key=lambda one: one.due_at)
        wait = "group_interval" if group.flushed else "group_wait"
        span = group.route.group_interval if group.flushed else group.route.group_wait
        due = f"its group is due at {format_moment(group.due_at)}"
        return f"{due}, in {ago(group.due_at, facts.now)} ({wait} is {format_duration(span)})"
    return "it fires, and the dispatcher has not taken it yet"


def _ended(facts: Facts) -> str:
    holds = [one for one in facts.holds if one.until is None or one.until > facts.since]
    if holds:
        last = holds[-1]
        return f"the {last.stage} stage held it back until it ended: {last.why}"
    believed = _believed(facts)
    if believed:
        return believed
    if facts.ends_at is None or not facts.remembered:
        return "it is over, and no notification of the time that is remembered named it"
    return f"it ended after {ago(facts.ends_at, facts.starts_at)}, before its group was due"
