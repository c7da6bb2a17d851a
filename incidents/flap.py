"""The stage `flap`: an alert that comes and goes is one matter until it is calm.

It never keeps an alert from firing. The end of an alert that has changed again and again stays back until
nothing has changed for `hold`: so the next time it fires is no news, and a real outage is always told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from alertmanager.route import Route
from incidents.settings import FlapSettings
from model.alert import Alert
from model.decision import Decision, allow, refuse
from model.moment import format_duration


class FlapRule(NamedTuple):
    """So many changes within a time (ms) are flapping; calm is no change for `hold` (ms)."""

    changes: int
    within: int
    hold: int


@dataclass(slots=True)
class _Record:
    """When (ms) an alert began or ended lately."""

    firing: bool
    changes: list[int] = field(default_factory=list)
    damped: bool = False


class FlapStage:
    """Implements Stage. `rules` gives the settings of the alerts whose rule states its own, by name."""

    name = "flap"

    def __init__(self, settings: FlapSettings, rules: Mapping[str, FlapRule] | None = None) -> None:
        self.version = 0
        self._records: dict[int, _Record] = {}
        self._damped: dict[int, FlapRule] = {}
        self.configure(settings, rules)

    def configure(self, settings: FlapSettings, rules: Mapping[str, FlapRule] | None = None) -> None:
        """Take other settings; what is damped stays so."""
        self._default = FlapRule(settings.changes, settings.within, settings.hold)
        self._rules = dict(rules or {})
        self._longest = max(rule.within + rule.hold for rule in (self._default, *self._rules.values()))
        self._calm_at = 0
        self.version += 1

    def observe(self, alert: Alert, now: int) -> None:
        """Count a change between firing and ended."""
        firing = not alert.resolved_at(now)
        record = self._records.get(alert.fingerprint)
        if record is None:
            if firing:
                self._records[alert.fingerprint] = _Record(True, [now])
            return
        if record.firing == firing:
            return
        rule = self._rule(alert)
        record.firing = firing
        record.changes = [*(at for at in record.changes if now - at < rule.within), now]
        record.damped = record.damped or len(record.changes) >= rule.changes
        if record.damped:
            self._damped[alert.fingerprint] = rule
            self.version += 1

    def step(self, now: int) -> None:
        """Let go of what has been calm for long enough."""
        for fingerprint, rule in list(self._damped.items()):
            record = self._records[fingerprint]
            if not record.firing and now - record.changes[-1] >= rule.hold:
                record.damped, record.changes = False, record.changes[-1:]
                del self._damped[fingerprint]
                self.version += 1
        if now < self._calm_at:
            return
        self._calm_at = now + self._longest // 64
        for fingerprint, record in list(self._records.items()):
            if not record.firing and now - record.changes[-1] >= self._longest:
                del self._records[fingerprint]

    def holds(self, alert: Alert, route: Route, now: int) -> Decision:
        """Only ends stay back, and only while the alert flaps."""
        record = self._records.get(alert.fingerprint)
        if record is None or not record.damped or not alert.resolved_at(now):
            return refuse("it does not flap")
        rule = self._rule(alert)
        return allow(
            f"it flaps: {len(record.changes)} changes in {format_duration(rule.within)}; "
            f"its end is told once it has been calm for {format_duration(rule.hold)}"
        )

    def unsettled(self, fingerprint: int, now: int) -> bool:
        """Whether an alert that has ended is likely to come back."""
        return fingerprint in self._damped

    def _rule(self, alert: Alert) -> FlapRule:
        return self._rules.get(alert.name, self._default)
