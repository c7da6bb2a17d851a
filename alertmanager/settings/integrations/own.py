"""Kinds that Alertmanager does not have: apprise, the console, the log, another Alertmanager."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import TIMEOUT, PositiveDuration, SecretText, SecretURL, Timeout
from alertmanager.settings.integrations.base import HTTPIntegration, IntegrationConfig
from model.moment import SECOND


class AppriseConfig(IntegrationConfig):
    """Any service that apprise knows, by its URLs."""

    urls: tuple[SecretText, ...] = Field((), description="apprise URLs; treated as secrets.")
    urls_file: Path | None = Field(None, description="A file with one apprise URL a line.")
    timeout: PositiveDuration = Field(30 * SECOND, description="How long the services may take.")

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if bool(self.urls) == (self.urls_file is not None):
            raise ValueError("exactly one of urls and urls_file must be there")
        return self


class AlertmanagerConfig(HTTPIntegration):
    """Another Alertmanager, which gets the alerts by POST /api/v2/alerts."""

    url: SecretURL = Field(description="Where it listens, with its path prefix, without /api/v2.")
    timeout: Timeout = Field(TIMEOUT, description="How long an answer may take.")


class ConsoleConfig(IntegrationConfig):
    """A readable line on standard output, for a demo or a terminal."""


class LogConfig(IntegrationConfig):
    """A line in Fleetowl's own log."""
