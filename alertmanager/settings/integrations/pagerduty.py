"""PagerDuty, by its events API."""

from __future__ import annotations

from typing import Any, Self

from pydantic import ConfigDict, Field, model_validator

from alertmanager.settings.common import TIMEOUT, URL, File, SecretText, Text, Timeout, at_most_one, given_in
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration
from model.settings import Settings

DEFAULT_DETAILS = {
    "firing": "{{ .Alerts.Firing | toJson }}",
    "resolved": "{{ .Alerts.Resolved | toJson }}",
    "num_firing": "{{ .Alerts.Firing | len }}",
    "num_resolved": "{{ .Alerts.Resolved | len }}",
}
"""What stands in the event's details unless `details` says otherwise; Alertmanager's own."""


class PagerDutyLink(Settings):
    """A link in the incident."""

    href: Text = Field("", description="Where it leads, a template.")
    text: Text = Field("", description="What it says, a template.")


class PagerDutyImage(Settings):
    """A picture in the incident."""

    src: Text = Field("", description="Where the picture is, a template.")
    alt: Text = Field("", description="What it shows, a template.")
    href: Text = Field("", description="Where it leads, a template.")


class PagerDutyConfig(HTTPIntegration):
    """An event to PagerDuty: by `routing_key` (events API v2) or `service_key` (v1)."""

    model_config = ConfigDict(populate_by_name=False)

    routing_key: SecretText | None = Field(None, description="Integration key of the events API v2.")
    routing_key_file: File = Field(None, description="File that holds the routing key.")
    service_key: SecretText | None = Field(None, description="Integration key of the events API v1.")
    service_key_file: File = Field(None, description="File that holds the service key.")
    url: URL | None = Field(None, description="The API; else global.pagerduty_url.")
    client: Text = Field('{{ template "pagerduty.default.client" . }}', description="Who sends.")
    client_url: Text = Field('{{ template "pagerduty.default.clientURL" . }}', description="Link to it.")
    description: Text = Field('{{ template "pagerduty.default.description" .}}', description="The summary.")
    details: dict[str, Any] = Field(default={}, description="Details; texts in them are templates.")
    images: tuple[PagerDutyImage, ...] = Field((), description="Pictures.")
    links: tuple[PagerDutyLink, ...] = Field((), description="Links.")
    source: Text = Field("", description="Where it happened; else `client`.")
    severity: Text = Field("", description="Severity, a template.")
    class_: Text = Field("", alias="class", description="Class of the event, a template.")
    component: Text = Field("", description="Component, a template.")
    group: Text = Field("", description="Group, a template.")
    timeout: Timeout = Field(TIMEOUT, description="How long an answer may take.")

    @model_validator(mode="after")
    def _keys(self) -> Self:
        at_most_one(self, "routing_key", "routing_key_file")
        at_most_one(self, "service_key", "service_key_file")
        names = ("routing_key", "routing_key_file", "service_key", "service_key_file")
        if not any(given_in(self, name) for name in names):
            raise ValueError(f"one of {', '.join(names)} must be given")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL, the default details, and the client as the source."""
        own = super().inherit(common)
        details = {**DEFAULT_DETAILS, **self.details}
        return own._with(
            url=self.url or common.pagerduty_url, details=details, source=self.source or self.client
        )
