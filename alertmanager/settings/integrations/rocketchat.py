"""Rocket.Chat."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import URL, File, SecretText, Text, at_most_one, given_in
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration
from model.settings import Settings


class RocketChatField(Settings):
    """A field of the message."""

    title: Text = Field("", description="Its title.")
    value: Text = Field("", description="Its value.")
    short: bool | None = Field(None, description="Whether two fit beside one another; else short_fields.")


class RocketChatAction(Settings):
    """A button; the keys are written without underscores, as in Alertmanager."""

    type: Text = Field("", description="`button`.")
    text: Text = Field("", description="What it says.")
    url: Text = Field("", description="Where it leads.")
    imageurl: Text = Field("", description="A picture.")
    iswebview: bool = Field(False, description="Open inside of the chat.")
    webviewheightratio: Text = Field("", description="How high it is then.")
    msg: Text = Field("", description="What is posted.")
    msginchatwindow: bool = Field(False, description="Post into the chat.")
    msgprocessingtype: Text = Field("", description="sendMessage or respondWithMessage.")


class RocketChatConfig(HTTPIntegration):
    """A message to Rocket.Chat."""

    send_resolved: bool = Field(False, description="Whether the end of an alert is notified too.")
    api_url: URL | None = Field(None, description="The server; else global.rocketchat_api_url.")
    token: SecretText | None = Field(None, description="The token; else global.rocketchat_token.")
    token_file: File = Field(None, description="File that holds the token; else global's.")
    token_id: SecretText | None = Field(None, description="Who it belongs to; else global's.")
    token_id_file: File = Field(None, description="File that holds the token's id; else global's.")
    channel: Text = Field("", description="Channel or user.")
    color: Text = Field('{{ if eq .Status "firing" }}red{{ else }}green{{ end }}', description="Colour.")
    title: Text = Field('{{ template "rocketchat.default.title" . }}', description="Title.")
    title_link: Text = Field('{{ template "rocketchat.default.titlelink" . }}', description="Its link.")
    text: Text = Field('{{ template "rocketchat.default.text" . }}', description="The message.")
    fields: tuple[RocketChatField, ...] = Field((), description="Fields.")
    short_fields: bool = Field(False, description="Whether two fields fit beside one another.")
    emoji: Text = Field('{{ template "rocketchat.default.emoji" . }}', description="Emoji of who speaks.")
    icon_url: Text = Field('{{ template "rocketchat.default.iconurl" . }}', description="Its picture.")
    image_url: Text = Field("", description="A picture.")
    thumb_url: Text = Field("", description="A small picture.")
    link_names: bool = Field(False, description="Whether names in the text become links.")
    actions: tuple[RocketChatAction, ...] = Field((), description="Buttons.")

    @model_validator(mode="after")
    def _twins(self) -> Self:
        at_most_one(self, "token", "token_file")
        at_most_one(self, "token_id", "token_id_file")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL, token and token id."""
        own = super().inherit(common)._with(api_url=self.api_url or common.rocketchat_api_url)
        for name in ("token_id", "token"):
            if given_in(self, name) or given_in(self, f"{name}_file"):
                continue
            value = getattr(common, f"rocketchat_{name}")
            file = getattr(common, f"rocketchat_{name}_file")
            if value is None and file is None:
                raise ValueError(f"{name} must be given, here or as global.rocketchat_{name}(_file)")
            own = own._with(**{name: value, f"{name}_file": file})
        return own
