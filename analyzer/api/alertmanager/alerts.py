"""GET /alerts and GET /alerts/groups."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from aiohttp import web

from alertmanager.intervals import Intervals
from alertmanager.route import routing_labels
from analyzer.alerting import Alerting
from analyzer.api.alertmanager.answers import Handler
from analyzer.api.alertmanager.filters import fitting, flag, matchers, receivers
from analyzer.api.alertmanager.standing import Standing, document_of, standing_of
from analyzer.api.bodies import Body
from analyzer.api.turns import Turn, Turns
from analyzer.pipeline import Pipeline
from model.alert import Alert

_ENCODER = msgspec.json.Encoder()


class AlertsApi:
    """Answers from the alerts as they are now, those that wait for the tick too."""

    def __init__(self, pipeline: Callable[[], Pipeline], now: Callable[[], int], turns: Turns) -> None:
        self._pipeline = pipeline
        self._now = now
        self._turns = turns

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/alerts", self.alerts
        yield "GET", "/alerts/groups", self.groups

    async def alerts(self, request: web.Request) -> web.Response:
        """The alerts that fire and fit."""
        async with self._looking(request) as (look, turn):
            found = {one.fingerprint: one for one in self._pipeline().backlog if look.fires(one)}
            found |= {
                one.fingerprint: one for one in self._pipeline().alerting.quiet(look.now) if look.fires(one)
            }
            found |= {one.fingerprint: one for one in self._pipeline().dispatcher.alerts if look.fires(one)}
            await turn.rest()
            body = Body(turn)
            await body.add_list(look.documents(found[key] for key in sorted(found)))
            return await body.sent(request)

    async def groups(self, request: web.Request) -> web.Response:
        """The groups, each with its alerts that fire and fit."""
        async with self._looking(request) as (look, turn):
            body = Body(turn)
            groups = self._pipeline().dispatcher.groups()
            groups.sort(key=lambda one: (one[0].labels, one[0].route.receiver))
            await body.add_list(look.groups(groups))
            return await body.sent(request)

    @asynccontextmanager
    async def _looking(self, request: web.Request) -> AsyncIterator[tuple[Look, Turn]]:
        look = Look(self._pipeline(), request, self._now())
        async with self._turns.take(request) as turn:
            yield look, turn


class Look:
    """One request's view of the alerts. Raises Refused for parameters that cannot be read."""

    def __init__(self, pipeline: Pipeline, request: web.Request, now: int) -> None:
        own = pipeline.settings.alertmanager
        self._alerting: Alerting = pipeline.alerting
        self.now = now
        self._intervals = Intervals.of(own)
        self._timeout = own.global_.resolve_timeout
        self._plain = own.plain
        asked = matchers(request)
        self._matches = fitting(asked) if asked else None
        self._takes = receivers(request, labels_of(own.receivers))
        self._active, self._silenced = flag(request, "active"), flag(request, "silenced")
        self._inhibited, self._muted = flag(request, "inhibited"), flag(request, "muted")

    def _fits(self, alert: Alert) -> bool:
        return self._matches is None or self._matches(routing_labels(alert, plain=self._plain))

    def fires(self, alert: Alert) -> bool:
        """Whether it has not ended."""
        return not alert.resolved_at(self.now)

    def documents(self, alerts: Iterator[Alert]) -> Iterator[str]:
        """Those of the alerts that are wanted, as JSON."""
        for alert in alerts:
            routes = self._alerting.dispatcher.routes_of(alert)
            names = [route.receiver for route in routes]
            if not any(map(self._takes, names)) or not self._fits(alert):
                continue
            standing = standing_of(self._alerting, alert, routes, self.now)
            if self._wanted(standing):
                yield _json(self._document(alert, standing, names))

    def groups(self, groups: list[Any]) -> Iterator[str]:
        """Those of the groups that are wanted, as JSON."""
        for group, alerts in groups:
            route = group.route
            if not self._takes(route.receiver):
                continue
            firing = [one for one in alerts if self.fires(one) and self._fits(one)]
            found = [(one, standing_of(self._alerting, one, [route], self.now)) for one in firing]
            muting = self._intervals.muting(route, self.now)
            why = f"time_intervals: {self._intervals.muted(route, self.now)}"
            standings = [(one, standing.muted_by(muting, why)) for one, standing in found]
            if not self._muted and all(standing.muted for _, standing in standings):
                continue
            shown = [
                self._document(one, standing, [route.receiver])
                for one, standing in standings
                if self._wanted(standing)
            ]
            if shown:
                labels = dict(group.labels.pairs)
                receiver = {"name": route.receiver}
                yield _json({"alerts": shown, "labels": labels, "receiver": receiver, "routeLabels": {}})

    def _wanted(self, standing: Standing) -> bool:
        return (
            (self._active or standing.suppressed)
            and (self._silenced or not standing.silences)
            and (self._inhibited or not standing.inhibitors)
        )

    def _document(self, alert: Alert, standing: Standing, receivers: list[str]) -> dict[str, Any]:
        heard_at = self._alerting.dispatcher.heard_at(alert) or self.now
        return document_of(alert, standing, receivers, heard_at, self._timeout)


def labels_of(settings: Any) -> dict[str, dict[str, str]]:
    """The labels of each receiver by its name."""
    return {receiver.name: dict(getattr(receiver, "labels", None) or {}) for receiver in settings}


def _json(document: dict[str, Any]) -> str:
    return _ENCODER.encode(document).decode()
