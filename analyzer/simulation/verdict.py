"""What became of each alert of a simulation: who was told of it, or what kept it back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from alertmanager.ledger import NoLedger
from alertmanager.notification import Notification
from alertmanager.stages import Held
from alertmanager.text import title
from analyzer.simulation.history import Line
from model.alert import Alert
from model.labels import format_fingerprint
from model.moment import format_duration, format_moment, whole_seconds


@dataclass(slots=True)
class Verdict:
    """One alert from its begin to its end; it may begin anew later, which is another verdict. Times are ms.

    `held` says why each stage has kept it back, the last one in `last_stage`. `believed_by` are the
    receivers that were told of it before and not of the end of that: to them it is no news.
    """

    alert: Alert
    began_at: int
    heard_at: int
    faults: set[str] = field(default_factory=set)
    lines: int = 1
    ended_at: int | None = None
    told_at: int | None = None
    receivers: set[str] = field(default_factory=set)
    incident: str = ""
    held: dict[str, str] = field(default_factory=dict)
    last_stage: str = ""
    believed_by: frozenset[str] = frozenset()

    @property
    def told(self) -> bool:
        """Whether a notification named it while it fired."""
        return self.told_at is not None

    @property
    def why(self) -> str:
        """One sentence: why it was told, or why not."""
        if self.told_at is not None:
            waited = format_duration(whole_seconds(max(0, self.told_at - self.began_at)))
            return f"told to {', '.join(sorted(self.receivers))} after {waited}"
        if self.last_stage:
            return f"not told: {self.last_stage} held it back: {self.held[self.last_stage]}"
        if self.believed_by:
            receivers = ", ".join(sorted(self.believed_by))
            return f"not told: it was no news, {receivers} believed that the earlier one still fired"
        if self.ended_at is not None:
            lasted = format_duration(whole_seconds(max(0, self.ended_at - self.began_at)))
            return f"not told: it ended after {lasted}, before its group was due"
        return "not told: its group was not due yet when the simulation ended"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "fingerprint": format_fingerprint(self.alert.fingerprint),
            "labels": dict(self.alert.labels),
            "faults": sorted(self.faults),
            "began_at": format_moment(self.began_at),
            "ended_at": None if self.ended_at is None else format_moment(self.ended_at),
            "told_at": None if self.told_at is None else format_moment(self.told_at),
            "receivers": sorted(self.receivers),
            "incident": self.incident,
            "held": self.held,
            "why": self.why,
        }


@dataclass(frozen=True, slots=True)
class Sent:
    """A notification that would have been sent at `at` (ms), and the faults whose alerts it lists."""

    at: int
    notification: Notification
    faults: frozenset[str]

    @property
    def firing(self) -> bool:
        """Whether something of it fired."""
        return self.notification.status == "firing"

    def document(self) -> dict[str, Any]:
        """As JSON."""
        told = self.notification
        return {
            "at": format_moment(self.at),
            "receiver": told.receiver,
            "integration": told.delivery.integration,
            "status": told.status,
            "tier": told.tier.name,
            "title": title(told),
            "group": dict(told.group_labels),
            "group_key": told.group_key,
            "incidents": told.incidents,
            "firing": len(told.firing),
            "resolved": len(told.resolved),
            "alerts": [
                {
                    "fingerprint": format_fingerprint(alert.fingerprint),
                    "status": "resolved" if alert.resolved_at(told.at) else "firing",
                    "labels": dict(alert.labels),
                }
                for alert in told.alerts
            ],
            "why": told.why,
            "faults": sorted(self.faults),
        }


class Verdicts(NoLedger):
    """The verdicts of a history, found by the alerts' fingerprints; the dispatcher tells of what it holds."""

    def __init__(self, resolve_timeout: int) -> None:
        self._resolve_timeout = resolve_timeout
        self._current: dict[int, Verdict] = {}
        self._believed: dict[int, set[str]] = {}
        self.all: list[Verdict] = []

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.all)

    def take(self, line: Line) -> None:
        """A line of the history came in."""
        alert = line.alert
        current = self._current.get(alert.fingerprint)
        if current is not None and self._over(current, line.at):
            current = None
        if current is None:
            if alert.resolved_at(line.at):
                return
            believed_by = frozenset(self._believed.get(alert.fingerprint, ()))
            current = Verdict(alert, line.at, line.at, lines=0, believed_by=believed_by)
            self._current[alert.fingerprint] = current
            self.all.append(current)
        current.alert, current.heard_at = alert, line.at
        current.lines += 1
        current.faults.update(line.faults)
        if alert.resolved_at(line.at):
            current.ended_at = line.at

    def refreshed(self, alert: Alert, now: int) -> None:
        """The alert is repeated where the history has left that out."""
        self._current[alert.fingerprint].heard_at = now

    def _over(self, verdict: Verdict, now: int) -> bool:
        if verdict.ended_at is None:
            ends_at = verdict.alert.ends_at
            ends_at = verdict.heard_at + self._resolve_timeout if ends_at is None else ends_at
            if ends_at <= now:
                verdict.ended_at = ends_at
        return verdict.ended_at is not None

    def placed(self, alert: Alert) -> None:
        """The alert has its incident."""
        current = self._current.get(alert.fingerprint)
        if current is not None and alert.incident:
            current.incident = alert.incident

    def held(self, group_key: str, receiver: str, held: Sequence[Held], now: int) -> None:
        """At a flush these alerts stayed back."""
        for one in held:
            current = self._current.get(one.alert.fingerprint)
            if current is not None:
                current.held[one.stage] = one.why
                current.last_stage = one.stage

    def sent(self, notification: Notification, now: int) -> Sent:
        """A notification left; what it tells of is told."""
        faults: set[str] = set()
        for fingerprint in notification.firing:
            self._believed.setdefault(fingerprint, set()).add(notification.receiver)
        for fingerprint in notification.resolved:
            self._believed.get(fingerprint, set()).discard(notification.receiver)
        for alert in notification.alerts:
            current = self._current.get(alert.fingerprint)
            if current is None:
                continue
            faults |= current.faults
            if not alert.resolved_at(notification.at):
                current.told_at = now if current.told_at is None else current.told_at
                current.receivers.add(notification.receiver)
        return Sent(now, notification, frozenset(faults))

    def close(self, now: int) -> None:
        """The simulation is over."""
        for verdict in self.all:
            self._over(verdict, now)
