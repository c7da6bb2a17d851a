"""Receivers: named sets of ways to notify."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from alertmanager.settings.common import PositiveDuration
from model.moment import SECOND
from model.settings import Settings
from wire.scrape import HTTPClientSettings


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
