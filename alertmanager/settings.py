"""The section `alertmanager:`: Alertmanager's own names, and a `fleetowl:` part for what it has not.

A small team needs little: a receiver, and a route for each tier.

    alertmanager:
      route:
        receiver: team
        group_by: [incident]
        routes:
          - matchers: ['tier="P0"']
            receiver: pager
      receivers:
        - name: team
          webhook_configs: [{url: "https://chat.example/hook"}]
        - name: pager
          apprise_configs: [{urls: ["pagerduty://KEY@ROUTING"]}]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, SecretStr, field_validator, model_validator

from alertmanager.matching import parse_matchers
from model.moment import DAY, HOUR, MINUTE, SECOND
from model.settings import Duration, Settings
from wire.scrape import HTTPClientSettings

PositiveDuration = Annotated[Duration, Field(gt=0)]


class IntegrationConfig(Settings):
    """What every way to notify has."""

    send_resolved: bool = Field(True, description="Whether the end of an alert is notified too.")


class WebhookConfig(IntegrationConfig):
    """A POST of Alertmanager's JSON (version 4)."""

    url: SecretStr | None = Field(None, description="Where to; treated as a secret.")
    url_file: Path | None = Field(None, description="A file that holds the URL.")
    http_config: HTTPClientSettings = Field(HTTPClientSettings(), description="Authorization and TLS.")
    max_alerts: int = Field(0, ge=0, description="At most so many alerts in one message; 0 is no limit.")
    timeout: PositiveDuration = Field(10 * SECOND, description="How long an answer may take.")

    @model_validator(mode="after")
    def _one_of_them(self) -> WebhookConfig:
        if (self.url is None) == (self.url_file is None):
            raise ValueError("exactly one of url and url_file must be there")
        if self.url is not None and not self.url.get_secret_value().startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        return self


class AppriseConfig(IntegrationConfig):
    """Any service that apprise knows, by its URLs."""

    urls: tuple[SecretStr, ...] = Field((), description="apprise URLs; treated as secrets.")
    urls_file: Path | None = Field(None, description="A file with one apprise URL a line.")
    timeout: PositiveDuration = Field(30 * SECOND, description="How long the services may take.")

    @model_validator(mode="after")
    def _one_of_them(self) -> AppriseConfig:
        if bool(self.urls) == (self.urls_file is not None):
            raise ValueError("exactly one of urls and urls_file must be there")
        return self


class ConsoleConfig(IntegrationConfig):
    """A readable line on standard output, for a demo or a terminal."""


class LogConfig(IntegrationConfig):
    """A line in Fleetowl's own log."""


IntegrationKind = Literal["webhook", "apprise", "console", "log"]


class ReceiverSettings(Settings):
    """A named set of ways to notify; without any it swallows what is routed to it."""

    name: str = Field(min_length=1, description="The name that routes use.")
    webhook_configs: tuple[WebhookConfig, ...] = Field((), description="Webhooks in Alertmanager's JSON.")
    apprise_configs: tuple[AppriseConfig, ...] = Field((), description="Services by apprise URL.")
    console_configs: tuple[ConsoleConfig, ...] = Field((), description="Lines on standard output.")
    log_configs: tuple[LogConfig, ...] = Field((), description="Lines in Fleetowl's log.")

    def integrations(self) -> Iterator[tuple[IntegrationKind, int, IntegrationConfig]]:
        """Kind, position within its kind, and configuration of each."""
        kinds: tuple[tuple[IntegrationKind, tuple[IntegrationConfig, ...]], ...] = (
            ("webhook", self.webhook_configs),
            ("apprise", self.apprise_configs),
            ("console", self.console_configs),
            ("log", self.log_configs),
        )
        for kind, configs in kinds:
            for position, config in enumerate(configs):
                yield kind, position, config


class RouteSettings(Settings):
    """A node of the route tree; what is not given is inherited from its parent."""

    receiver: str | None = Field(None, description="Who is notified.")
    group_by: tuple[str, ...] | None = Field(
        None, description="Labels that make a group; `incident` is the incident's id, `...` is all labels."
    )
    group_wait: Duration | None = Field(None, description="How long a new group waits for its first alerts.")
    group_interval: PositiveDuration | None = Field(
        None, description="How long until a changed group is notified again."
    )
    repeat_interval: PositiveDuration | None = Field(
        None, description="How long until an unchanged group is notified again."
    )
    matchers: tuple[str, ...] = Field((), description='What the alert must match, as `tier=~"P0|P1"`.')
    continue_: bool = Field(False, alias="continue", description="Whether later siblings are tried too.")
    routes: tuple[RouteSettings, ...] = Field((), description="Children; the first that matches wins.")

    @field_validator("matchers")
    @classmethod
    def _readable(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        for line in lines:
            parse_matchers(line)
        return lines

    @field_validator("group_by")
    @classmethod
    def _names(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if names and "..." in names and len(names) > 1:
            raise ValueError("`...` already is all labels: it stands alone")
        if names and len(set(names)) < len(names):
            raise ValueError("a label is named twice")
        return names


class GlobalSettings(Settings):
    """What holds for all receivers."""

    resolve_timeout: PositiveDuration = Field(
        5 * MINUTE, description="An alert without an end that nobody has repeated for so long is resolved."
    )


class RetrySettings(Settings):
    """What happens when a receiver does not take a notification."""

    min_backoff: PositiveDuration = Field(SECOND, description="The wait after the first failure; it doubles.")
    max_backoff: PositiveDuration = Field(MINUTE, description="The longest wait between two attempts.")
    give_up_after: PositiveDuration = Field(
        DAY, description="How long one notification is tried before it is given up (loudly)."
    )
    refused_interval: PositiveDuration = Field(
        10 * MINUTE, description="The wait after a refusal that will not change by itself (4xx but 429)."
    )
    refused_attempts: PositiveInt = Field(5, description="How often a refused notification is tried.")


class FleetowlSettings(Settings):
    """What Fleetowl adds to Alertmanager's behaviour."""

    urgent_first: bool = Field(
        True, description="The first P0 of a group leaves at once, and in front of everything else."
    )
    resolve_wait: PositiveDuration | None = Field(
        15 * SECOND,
        description="A group of which all alerts have ended says so after this, not at group_interval.",
    )
    retry: RetrySettings = Field(RetrySettings(), description="Failing receivers.")
    log_retention: PositiveDuration = Field(
        120 * HOUR, description="How long it is remembered what was notified."
    )


class AlertmanagerSettings(Settings):
    """Who is notified of what, and how often."""

    global_: GlobalSettings = Field(GlobalSettings(), alias="global", description="What holds for all.")
    external_url: str = Field("", description="Where people reach this analyzer; links point there.")
    route: RouteSettings = Field(
        RouteSettings(receiver="log", group_by=("incident",)), description="The root of the route tree."
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
