"""Telegram."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from alertmanager.settings.common import (
    TIMEOUT,
    URL,
    File,
    SecretText,
    Text,
    Timeout,
    at_most_one,
    given_in,
    one_of,
)
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration


class TelegramConfig(HTTPIntegration):
    """A message by a Telegram bot."""

    api_url: URL | None = Field(None, description="The API; else global.telegram_api_url.")
    bot_token: SecretText | None = Field(None, description="The bot's token; else global's.")
    bot_token_file: File = Field(None, description="File that holds the bot's token; else global's.")
    chat_id: int = Field(0, description="The chat.")
    chat_id_file: File = Field(None, description="File that holds the chat's number.")
    message_thread_id: int = Field(0, description="The topic of the chat.")
    message: Text = Field('{{ template "telegram.default.message" . }}', description="The message.")
    disable_notifications: bool = Field(False, description="Whether it comes without a sound.")
    parse_mode: Literal["", "Markdown", "MarkdownV2", "HTML"] = Field("HTML", description="The formatting.")
    timeout: Timeout = Field(TIMEOUT, description="How long an answer may take.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        at_most_one(self, "bot_token", "bot_token_file")
        one_of(self, "chat_id", "chat_id_file")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL and token."""
        own = super().inherit(common)._with(api_url=self.api_url or common.telegram_api_url)
        if given_in(self, "bot_token") or given_in(self, "bot_token_file"):
            return own
        if not common.telegram_bot_token and not common.telegram_bot_token_file:
            raise ValueError("bot_token must be given, here or as global.telegram_bot_token(_file)")
        return own._with(bot_token=common.telegram_bot_token, bot_token_file=common.telegram_bot_token_file)
