"""Pushover."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import File, GoDuration, SecretText, Text, one_of
from alertmanager.settings.integrations.base import HTTPIntegration
from model.moment import HOUR, MINUTE


class PushoverConfig(HTTPIntegration):
    """A push message by Pushover."""

    user_key: SecretText | None = Field(None, description="Who gets it.")
    user_key_file: File = Field(None, description="File that holds the user's key.")
    token: SecretText | None = Field(None, description="The application's token.")
    token_file: File = Field(None, description="File that holds the token.")
    title: Text = Field('{{ template "pushover.default.title" . }}', description="Title.")
    message: Text = Field('{{ template "pushover.default.message" . }}', description="The message.")
    url: Text = Field('{{ template "pushover.default.url" . }}', description="A link.")
    url_title: Text = Field("", description="What the link says.")
    device: Text = Field("", description="Only this device.")
    sound: Text = Field("", description="The sound.")
    priority: Text = Field('{{ if eq .Status "firing" }}2{{ else }}0{{ end }}', description="-2 to 2.")
    retry: GoDuration = Field(MINUTE, description="How often an emergency is repeated.")
    expire: GoDuration = Field(HOUR, description="How long an emergency is repeated.")
    ttl: GoDuration = Field(0, description="How long the message is kept; 0 is for ever.")
    html: bool = Field(False, description="Whether the message is HTML.")
    monospace: bool = Field(False, description="Whether the message is set in a fixed width.")

    @model_validator(mode="after")
    def _keys(self) -> Self:
        one_of(self, "user_key", "user_key_file")
        one_of(self, "token", "token_file")
        if self.html and self.monospace:
            raise ValueError("at most one of monospace and html can be given")
        return self
