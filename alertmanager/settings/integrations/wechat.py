"""WeChat for companies."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from alertmanager.settings.common import URL, File, SecretText, Text, at_most_one, given_in
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import HTTPIntegration


class WeChatConfig(HTTPIntegration):
    """A message by an application in WeChat."""

    send_resolved: bool = Field(False, description="Whether the end of an alert is notified too.")
    api_secret: SecretText | None = Field(None, description="The secret; else global.wechat_api_secret.")
    api_secret_file: File = Field(None, description="File that holds the secret; else global's.")
    api_url: URL | None = Field(None, description="The API; else global.wechat_api_url.")
    corp_id: Text = Field("", description="The corporation; else global.wechat_api_corp_id.")
    message: Text = Field('{{ template "wechat.default.message" . }}', description="The message.")
    message_type: Literal["", "text", "markdown"] = Field("text", description="text or markdown.")
    to_user: Text = Field('{{ template "wechat.default.to_user" . }}', description="Users.")
    to_party: Text = Field('{{ template "wechat.default.to_party" . }}', description="Departments.")
    to_tag: Text = Field('{{ template "wechat.default.to_tag" . }}', description="Tags.")
    agent_id: Text = Field('{{ template "wechat.default.agent_id" . }}', description="The application.")

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        at_most_one(self, "api_secret", "api_secret_file")
        return self

    def inherit(self, common: GlobalSettings) -> Self:
        """With `global`'s URL, secret and corporation."""
        own = (
            super()
            .inherit(common)
            ._with(
                api_url=self.api_url or common.wechat_api_url,
                corp_id=self.corp_id or common.wechat_api_corp_id,
            )
        )
        if not given_in(self, "api_secret") and not given_in(self, "api_secret_file"):
            if not common.wechat_api_secret and not common.wechat_api_secret_file:
                raise ValueError("api_secret must be given, here or as global.wechat_api_secret(_file)")
            own = own._with(
                api_secret=common.wechat_api_secret, api_secret_file=common.wechat_api_secret_file
            )
        if not own.corp_id:
            raise ValueError("corp_id must be given, here or as global.wechat_api_corp_id")
        return own
