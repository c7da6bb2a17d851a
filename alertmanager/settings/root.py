"""The whole section."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from pydantic import Field, model_validator

from alertmanager.settings.common import PositiveDuration
from alertmanager.settings.fleetowl import FleetowlSettings
from alertmanager.settings.inhibit import InhibitRuleSettings
from alertmanager.settings.intervals import TimeIntervalSettings
from alertmanager.settings.receivers import LogConfig, ReceiverSettings
from alertmanager.settings.route import RouteSettings
from model.moment import MINUTE
from model.settings import Settings


class GlobalSettings(Settings):
    """What holds for all receivers."""

    resolve_timeout: PositiveDuration = Field(
        5 * MINUTE, description="An alert without an end that nobody has repeated for so long is resolved."
    )


class AlertmanagerSettings(Settings):
    """Who is notified of what, and how often."""

    global_: GlobalSettings = Field(GlobalSettings(), alias="global", description="What holds for all.")
    external_url: str = Field("", description="Where people reach this analyzer; links point there.")
    route: RouteSettings = Field(
        RouteSettings(receiver="log", group_by=("incident",)), description="The root of the route tree."
    )
    templates: tuple[str, ...] = Field((), description="Files (globs) of notification templates.")
    inhibit_rules: tuple[InhibitRuleSettings, ...] = Field((), description="Which alerts hold back others.")
    time_intervals: tuple[TimeIntervalSettings, ...] = Field((), description="Named time intervals.")
    mute_time_intervals: tuple[TimeIntervalSettings, ...] = Field(
        (), description="Deprecated spelling of time_intervals."
    )
    receivers: tuple[ReceiverSettings, ...] = Field(
        (ReceiverSettings(name="log", log_configs=(LogConfig(),)),), description="Who can be notified."
    )
    fleetowl: FleetowlSettings = Field(FleetowlSettings(), description="What Alertmanager does not have.")

    @model_validator(mode="after")
    def _consistent(self) -> AlertmanagerSettings:
        wrong = [*self._wrong_receivers(), *self._wrong_routes()]
        if wrong:
            raise ValueError("; ".join(wrong))
        return self

    def _wrong_receivers(self) -> Iterator[str]:
        for name, count in Counter(receiver.name for receiver in self.receivers).items():
            if count > 1:
                yield f"receiver {name!r} is there {count} times"

    def _wrong_routes(self) -> Iterator[str]:
        if self.route.receiver is None:
            yield "route.receiver is required at the root"
        if self.route.matchers:
            yield "route.matchers must be empty at the root: it takes every alert"
        if self.route.continue_:
            yield "route.continue has no meaning at the root"
        known = {receiver.name for receiver in self.receivers}
        for place, route in _walk(self.route, "route"):
            if route.receiver is not None and route.receiver not in known:
                yield f"{place}.receiver {route.receiver!r} is not in receivers ({', '.join(sorted(known))})"


def _walk(route: RouteSettings, place: str) -> Iterator[tuple[str, RouteSettings]]:
    yield place, route
    for position, child in enumerate(route.routes):
        yield from _walk(child, f"{place}.routes.{position}")
