"""Chats that are reached by a webhook: Discord, Microsoft Teams, Mattermost."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import File, SecretURL, Text, at_most_one, given_in, one_of
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration
from model.settings import Settings


class _Hooked(HTTPIntegration):
    """A chat with a webhook of its own."""

    webhook_url: SecretURL | None = Field(None, description="The webhook.")
    webhook_url_file: File = Field(None, description="File that holds the webhook.")

    @model_validator(mode="after")
    def _one_webhook(self) -> Self:
        one_of(self, "webhook_url", "webhook_url_file")
        return self


class DiscordConfig(_Hooked):
    """A message to Discord."""

    content: Text = Field("", description="Text before the message.")
    title: Text = Field('{{ template "discord.default.title" . }}', description="Title.")
    message: Text = Field('{{ template "discord.default.message" . }}', description="The message.")
    username: Text = Field("", description="Who speaks.")
    avatar_url: Text = Field("", description="Picture of who speaks.")


class MSTeamsConfig(_Hooked):
    """A message to Microsoft Teams by an Office 365 connector."""

    title: Text = Field('{{ template "msteams.default.title" . }}', description="Title.")
    summary: Text = Field('{{ template "msteams.default.summary" . }}', description="Summary.")
    text: Text = Field('{{ template "msteams.default.text" . }}', description="The message.")


class MSTeamsV2Config(_Hooked):
    """A message to Microsoft Teams by a flow of Power Automate."""

    title: Text = Field('{{ template "msteamsv2.default.title" . }}', description="Title.")
    text: Text = Field('{{ template "msteamsv2.default.text" . }}', description="The message.")


class MattermostField(Settings):
    """A field of the message."""

    title: Text = Field(min_length=1, description="Its title.")
    value: Text = Field(min_length=1, description="Its value.")
    short: bool | None = Field(None, description="Whether two fit beside one another.")


class MattermostAttachment(Settings):
    """A part of a message to Mattermost."""

    fallback: Text = Field("", description="The message where there is no formatting.")
    color: Text = Field("", description="Colour of the bar.")
    pretext: Text = Field("", description="Text before the message.")
    text: Text = Field("", description="The message.")
    author_name: Text = Field("", description="Author.")
    author_link: Text = Field("", description="Where the author's name leads.")
    author_icon: Text = Field("", description="Picture of the author.")
    title: Text = Field("", description="Title.")
    title_link: Text = Field("", description="Where the title leads.")
    fields: tuple[MattermostField, ...] = Field((), description="Fields.")
    thumb_url: Text = Field("", description="A small picture.")
    footer: Text = Field("", description="Text below.")
    footer_icon: Text = Field("", description="Picture below.")
    image_url: Text = Field("", description="A picture.")


class MattermostProps(Settings):
    """What else a message to Mattermost holds."""

    card: Text = Field("", description="Text of the card at the side.")


class MattermostPriority(Settings):
    """How urgent a message to Mattermost is."""

    priority: Text = Field("", description="urgent, important or standard.")
    requested_ack: bool = Field(False, description="Ask for an acknowledgement.")
    persistent_notifications: bool = Field(False, description="Notify until somebody acknowledges.")


class MattermostConfig(HTTPIntegration):
    """A message to Mattermost."""

    webhook_url: SecretURL | None = Field(None, description="The webhook; else global's.")
    webhook_url_file: File = Field(None, description="File that holds the webhook; else global's.")
    channel: Text = Field("", description="Channel or user.")
    username: Text = Field('{{ template "mattermost.default.username" . }}', description="Who speaks.")
    text: Text = Field('{{ template "mattermost.default.text" . }}', description="The message.")
    fallback: Text = Field(
        '{{ template "mattermost.default.fallback" . }}', description="The message without formatting."
    )
    color: Text = Field('{{ template "mattermost.default.color" . }}', description="Colour of the bar.")
    pretext: Text = Field("", description="Text before the message.")
    author_name: Text = Field("", description="Author.")
    author_link: Text = Field("", description="Where the author's name leads.")
    author_icon: Text = Field("", description="Picture of the author.")
    title: Text = Field('{{ template "mattermost.default.title" . }}', description="Title.")
    title_link: Text = Field(
        '{{ template "mattermost.default.titlelink" . }}', description="Where the title leads."
    )
    fields: tuple[MattermostField, ...] = Field((), description="Fields.")
    thumb_url: Text = Field("", description="A small picture.")
    footer: Text = Field("", description="Text below.")
    footer_icon: Text = Field("", description="Picture below.")
    image_url: Text = Field("", description="A picture.")
    icon_url: Text = Field("", description="Picture of who speaks.")
    icon_emoji: Text = Field("", description="Emoji of who speaks.")
    attachments: tuple[MattermostAttachment, ...] = Field((), description="Parts of the message.")
    type: Text = Field("", description="Type of the post.")
    props: MattermostProps | None = Field(None, description="What else the message holds.")
    priority: MattermostPriority | None = Field(None, description="How urgent the message is.")

    @model_validator(mode="after")
    def _one_webhook(self) -> Self:
        at_most_one(self, "webhook_url", "webhook_url_file")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s webhook."""
        own = super().inherit(common)
        if given_in(self, "webhook_url") or given_in(self, "webhook_url_file"):
            return own
        url, file = common.mattermost_webhook_url, common.mattermost_webhook_url_file
        if not url and not file:
            raise ValueError("webhook_url must be given, here or as global.mattermost_webhook_url(_file)")
        return own._with(webhook_url=url, webhook_url_file=file)
