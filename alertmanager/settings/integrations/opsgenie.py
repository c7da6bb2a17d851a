"""Opsgenie."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import URL, File, SecretText, Text, at_most_one, given_in
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration
from model.settings import Settings

_RESPONDERS = ("team", "teams", "user", "escalation", "schedule")


class OpsgenieResponder(Settings):
    """Who is told; one of id, name and username says who it is."""

    id: Text = Field("", description="Id.")
    name: Text = Field("", description="Name.")
    username: Text = Field("", description="User name.")
    type: Text = Field("", description="team, teams, user, escalation or schedule, or a template.")

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not (self.id or self.name or self.username):
            raise ValueError("one of id, name and username must be given")
        if "{{" not in self.type and self.type.lower() not in _RESPONDERS:
            raise ValueError(f"type {self.type!r} is not one of {', '.join(_RESPONDERS)}")
        return self


class OpsgenieConfig(HTTPIntegration):
    """An alert in Opsgenie."""

    api_key: SecretText | None = Field(None, description="The key; else global.opsgenie_api_key.")
    api_key_file: File = Field(None, description="File that holds the key; else global's.")
    api_url: URL | None = Field(None, description="The API; else global.opsgenie_api_url.")
    message: Text = Field('{{ template "opsgenie.default.message" . }}', description="The headline.")
    description: Text = Field('{{ template "opsgenie.default.description" . }}', description="The text.")
    source: Text = Field('{{ template "opsgenie.default.source" . }}', description="Link to here.")
    details: dict[str, Text] = Field(default={}, description="Further keys; values are templates.")
    entity: Text = Field("", description="What the alert is about.")
    responders: tuple[OpsgenieResponder, ...] = Field((), description="Who is told.")
    actions: Text = Field("", description="Actions, with commas.")
    tags: Text = Field("", description="Tags, with commas.")
    note: Text = Field("", description="A note.")
    priority: Text = Field("", description="P1 to P5, or a template.")
    update_alerts: bool = Field(False, description="Whether message and text follow changes.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        at_most_one(self, "api_key", "api_key_file")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL and key."""
        own = super().inherit(common)._with(api_url=self.api_url or common.opsgenie_api_url)
        if given_in(self, "api_key") or given_in(self, "api_key_file"):
            return own
        if not common.opsgenie_api_key and not common.opsgenie_api_key_file:
            raise ValueError("api_key must be given, here or as global.opsgenie_api_key(_file)")
        return own._with(api_key=common.opsgenie_api_key, api_key_file=common.opsgenie_api_key_file)
