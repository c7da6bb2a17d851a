"""Webex."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import URL, Text
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration


class WebexConfig(HTTPIntegration):
    """A message to a room in Webex; the bot's token is http_config.authorization."""

    api_url: URL | None = Field(None, description="The API; else global.webex_api_url.")
    room_id: Text = Field("", description="The room.")
    message: Text = Field('{{ template "webex.default.message" . }}', description="The message.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not self.room_id:
            raise ValueError("room_id must be given")
        if self.http_config.authorization is None:
            raise ValueError("http_config.authorization must be given here: the bot's token")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL."""
        return super().inherit(common)._with(api_url=self.api_url or common.webex_api_url)
