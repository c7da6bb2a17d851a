"""The notification log: what each integration knows of each group, and whether it must hear more."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from model.alert import Tier
from model.decision import Decision, allow, refuse
from model.moment import format_duration


@dataclass(frozen=True, slots=True)
class LogEntry:
    """The last thing that one integration was told of one group, at `at` (ms).

    `delivered` is False where the receiver never took it and it was given up.
    """

    firing: frozenset[int]
    resolved: frozenset[int]
    at: int
    sequence: int
    delivered: bool = True


@dataclass(frozen=True, slots=True)
class Told:
    """The most urgent tier at which a notification about an incident was decided, and when the last (ms)."""

    tier: Tier
    at: int


def needs_update(
    entry: LogEntry | None,
    firing: Set[int],
    resolved: Set[int],
    *,
    send_resolved: bool,
    repeat_interval: int,
    now: int,
) -> Decision:
    """Whether an integration must be told. Source: Alertmanager's notify.DedupStage.needsUpdate."""
    if entry is None:
        if firing:
            return allow("the receiver has not heard of this group")
        return refuse("everything ended before the receiver heard of it")
    same = firing is entry.firing  # so it is in every flush of a quiet group, however large
    if not same and firing - entry.firing:
        return allow(f"{_alerts(firing - entry.firing)} began since the last notification")
    if not firing:
        # Also where send_resolved is off: the log must know that they ended, or the same alert
        # would not be news when it begins again.
        if entry.firing:
            return allow("all alerts of the group have ended")
        return refuse("the receiver knows that all have ended")
    if send_resolved and resolved - entry.resolved:
        return allow(f"{_alerts(resolved - entry.resolved)} ended since the last notification")
    if entry.at <= now - repeat_interval:
        return allow(f"nothing changed, repeated after {format_duration(repeat_interval)}")
    return refuse("nothing changed since the last notification")


def _alerts(fingerprints: Set[int]) -> str:
    return "1 alert" if len(fingerprints) == 1 else f"{len(fingerprints)} alerts"
