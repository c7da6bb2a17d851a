"""Where an alert stands at this moment: it is worked out when it is asked, not when a group is flushed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from alertmanager.route import Route
from analyzer.alerting import Alerting
from model.alert import Alert
from model.labels import format_fingerprint
from model.moment import format_moment


class Standing(NamedTuple):
    """What holds an alert back. `muted` are the names of stages and time intervals, `why` the sentences."""

    silences: tuple[str, ...] = ()
    inhibitors: tuple[int, ...] = ()
    muted: tuple[str, ...] = ()
    why: tuple[str, ...] = ()

    @property
    def suppressed(self) -> bool:
        """Whether it is told to nobody now."""
        return bool(self.silences or self.inhibitors or self.muted)

    def muted_by(self, intervals: tuple[str, ...], why: str) -> Standing:
        """Also in a group that time intervals of these names mute; `why` says so."""
        if not intervals:
            return self
        return self._replace(muted=(*self.muted, *intervals), why=(*self.why, why))

    def document(self) -> dict[str, Any]:
        """Alertmanager's alertStatus."""
        return {
            "state": "suppressed" if self.suppressed else "active",
            "silencedBy": self.silences,
            "inhibitedBy": [format_fingerprint(one) for one in self.inhibitors],
            "mutedBy": self.muted,
        }


FREE = Standing()


def standing_of(alerting: Alerting, alert: Alert, routes: Sequence[Route], now: int) -> Standing:
    """What holds the alert back from every one of these routes."""
    silences = alerting.silences.silenced_by(alert, now)
    inhibitors = alerting.inhibition.sources_of(alert, now)
    muted, why = [], []
    for stage in alerting.stages:
        decisions = [stage.holds(alert, route, now) for route in routes]
        if decisions and all(decisions):
            why.append(f"{stage.name}: {decisions[0]}")
            if stage is not alerting.silences and stage is not alerting.inhibition:
                muted.append(stage.name)
    if not alerting.dispatcher.knows(alert.fingerprint):
        alerting.silences.forget(alert)
    if not why:
        return FREE
    return Standing(silences, inhibitors, tuple(muted), tuple(why))


def document_of(
    alert: Alert,
    standing: Standing,
    receivers: Sequence[str],
    heard_at: int,
    resolve_timeout: int,
) -> dict[str, Any]:
    """Alertmanager's gettableAlert; what only Fleetowl knows stands under `fleetowl`."""
    ends_at = heard_at + resolve_timeout if alert.ends_at is None else alert.ends_at
    return {
        "annotations": alert.annotations,
        "endsAt": format_moment(ends_at),
        "fingerprint": format_fingerprint(alert.fingerprint),
        "receivers": [{"name": name} for name in receivers],
        "startsAt": format_moment(alert.starts_at),
        "status": standing.document(),
        "updatedAt": format_moment(heard_at),
        "generatorURL": alert.generator_url,
        "labels": dict(alert.labels.pairs),
        "fleetowl": {"tier": alert.tier.name, "incident": alert.incident, "why": standing.why},
    }
