"""Slack: by webhook, or by an app's token."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator

from alertmanager.settings.common import (
    TIMEOUT,
    URL,
    File,
    SecretText,
    SecretURL,
    Text,
    Timeout,
    at_most_one,
    given_in,
)
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration
from model.settings import Settings

POST_MESSAGE = "https://slack.com/api/chat.postMessage"


def _default(name: str) -> str:
    return f'{{{{ template "slack.default.{name}" . }}}}'


class SlackConfirm(Settings):
    """A question before a button acts."""

    text: Text = Field(min_length=1, description="The question.")
    title: Text = Field("", description="Its title.")
    ok_text: Text = Field("", description="The button that agrees.")
    dismiss_text: Text = Field("", description="The button that does not.")


class SlackAction(Settings):
    """A button."""

    type: Text = Field(min_length=1, description="`button`.")
    text: Text = Field(min_length=1, description="What it says.")
    url: Text = Field("", description="Where it leads.")
    style: Text = Field("", description="primary or danger.")
    name: Text = Field("", description="The name of the action.")
    value: Text = Field("", description="The value of the action.")
    confirm: SlackConfirm | None = Field(None, description="A question before it acts.")

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.url and not self.name:
            raise ValueError("one of name and url must be given")
        return self


class SlackField(Settings):
    """A field of the message."""

    title: Text = Field(min_length=1, description="Its title.")
    value: Text = Field(min_length=1, description="Its value.")
    short: bool | None = Field(None, description="Whether two fit beside one another; else short_fields.")


class SlackConfig(HTTPIntegration):
    """A message to Slack."""

    send_resolved: bool = Field(False, description="Whether the end of an alert is notified too.")
    api_url: SecretURL | None = Field(None, description="The webhook; else global.slack_api_url.")
    api_url_file: File = Field(None, description="File that holds the webhook; else global's.")
    app_token: SecretText | None = Field(None, description="The app's token; else global.slack_app_token.")
    app_token_file: File = Field(None, description="File that holds the app's token; else global's.")
    app_url: URL | None = Field(None, description="Where the app posts; else global.slack_app_url.")
    channel: Text = Field("", description="Channel or user.")
    username: Text = Field(_default("username"), description="Who speaks.")
    color: Text = Field(_default("color"), description="Colour of the bar.")
    title: Text = Field(_default("title"), description="Title.")
    title_link: Text = Field(_default("titlelink"), description="Where the title leads.")
    pretext: Text = Field(_default("pretext"), description="Text before the message.")
    text: Text = Field(_default("text"), description="The message.")
    message_text: Text = Field("", description="Text outside of the attachment.")
    fields: tuple[SlackField, ...] = Field((), description="Fields.")
    short_fields: bool = Field(False, description="Whether two fields fit beside one another.")
    footer: Text = Field(_default("footer"), description="Text below.")
    fallback: Text = Field(_default("fallback"), description="The message where there is no formatting.")
    callback_id: Text = Field(_default("callbackid"), description="Id for the buttons' answers.")
    icon_emoji: Text = Field(_default("iconemoji"), description="Emoji of who speaks.")
    icon_url: Text = Field(_default("iconurl"), description="Picture of who speaks.")
    image_url: Text = Field("", description="A picture.")
    thumb_url: Text = Field("", description="A small picture.")
    link_names: bool = Field(False, description="Whether names in the text become links.")
    mrkdwn_in: tuple[Text, ...] = Field((), description="Parts that are formatted.")
    actions: tuple[SlackAction, ...] = Field((), description="Buttons.")
    update_message: bool = Field(False, description="Edit the group's message instead of a new one.")
    timeout: Timeout = Field(TIMEOUT, description="How long an answer may take.")

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        at_most_one(self, "api_url", "api_url_file")
        at_most_one(self, "app_token", "app_token_file")
        webhook, app = self._has_webhook(), self._has_app()
        if webhook and app:
            raise ValueError("at most one of api_url(_file) and app_token(_file) can be given")
        if self.update_message and (self.api_url is None or self.api_url.get_secret_value() != POST_MESSAGE):
            raise ValueError(f"update_message needs a bot: api_url must be {POST_MESSAGE}")
        return self

    def _has_webhook(self) -> bool:
        return given_in(self, "api_url") or given_in(self, "api_url_file")

    def _has_app(self) -> bool:
        return given_in(self, "app_token") or given_in(self, "app_token_file")

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s webhook or app; an app's token becomes the authorization of http_config."""
        own = super().inherit(common)
        authorized = "http_config" in self.model_fields_set and self.http_config.authorization is not None
        if not own._has_app() and not authorized and self.api_url is None:
            own = own._with(app_token=common.slack_app_token, app_token_file=common.slack_app_token_file)
        if not own._has_webhook():
            own = own._with(api_url=common.slack_api_url, api_url_file=common.slack_api_url_file)
        if not own._has_webhook() and not own._has_app():
            raise ValueError("api_url or app_token must be given, here or as global.slack_*")
        return own._as_app(common) if own._has_app() else own

    def _as_app(self, common: GlobalSettings) -> Self:
        if self.http_config.authorization is not None:
            raise ValueError("http_config.authorization cannot be given beside an app_token")
        url = self.app_url or common.slack_app_url
        http = self.http_config.authorized(self.app_token, self.app_token_file)
        return self._with(app_url=url, api_url=SecretStr(url), api_url_file=None, http_config=http)
