"""What holds for all receivers unless one of them says otherwise: the part `global:`."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from alertmanager.settings.common import (
    URL,
    Address,
    File,
    SecretText,
    SecretURL,
    Text,
    at_most_one,
    given_in,
)
from alertmanager.settings.http import HTTPConfig, ReceiverTLSConfig
from model.moment import MINUTE
from model.settings import Duration, Settings


class GlobalSettings(Settings):
    """What holds for all receivers unless one of them says otherwise."""

    resolve_timeout: Duration = Field(
        5 * MINUTE, description="An alert without an end that nobody has repeated for so long is resolved."
    )
    http_config: HTTPConfig = Field(HTTPConfig(), description="How receivers are spoken to over HTTP.")

    smtp_from: Text = Field("", description="Sender of mails.")
    smtp_hello: Text = Field("localhost", description="The name given to the mail server.")
    smtp_smarthost: Address = Field("", description="The mail server, `host:port`.")
    smtp_auth_username: Text = Field("", description="User name for CRAM-MD5, LOGIN and PLAIN.")
    smtp_auth_password: SecretText | None = Field(None, description="Password for LOGIN and PLAIN.")
    smtp_auth_password_file: File = Field(None, description="File that holds the password.")
    smtp_auth_secret: SecretText | None = Field(None, description="Secret for CRAM-MD5.")
    smtp_auth_secret_file: File = Field(None, description="File that holds the secret.")
    smtp_auth_identity: Text = Field("", description="Identity for PLAIN.")
    smtp_require_tls: bool = Field(True, description="Refuse to send mails without TLS.")
    smtp_tls_config: ReceiverTLSConfig = Field(
        ReceiverTLSConfig(), description="TLS towards the mail server."
    )
    smtp_force_implicit_tls: bool | None = Field(
        None, description="TLS from the first byte (true) or by STARTTLS (false); by default by port."
    )

    slack_api_url: SecretURL | None = Field(None, description="Slack's webhook.")
    slack_api_url_file: File = Field(None, description="File that holds Slack's webhook.")
    slack_app_token: SecretText | None = Field(None, description="Token of a Slack app.")
    slack_app_token_file: File = Field(None, description="File that holds the token.")
    slack_app_url: URL = Field(
        "https://slack.com/api/chat.postMessage", description="Where a Slack app posts."
    )

    pagerduty_url: URL = Field("https://events.pagerduty.com/v2/enqueue", description="PagerDuty's API.")

    opsgenie_api_url: URL = Field("https://api.opsgenie.com/", description="Opsgenie's API.")
    opsgenie_api_key: SecretText | None = Field(None, description="Opsgenie's key.")
    opsgenie_api_key_file: File = Field(None, description="File that holds Opsgenie's key.")

    victorops_api_url: URL = Field(
        "https://alert.victorops.com/integrations/generic/20131114/alert/", description="VictorOps' API."
    )
    victorops_api_key: SecretText | None = Field(None, description="VictorOps' key.")
    victorops_api_key_file: File = Field(None, description="File that holds VictorOps' key.")

    telegram_api_url: URL = Field("https://api.telegram.org", description="Telegram's API.")
    telegram_bot_token: SecretText | None = Field(None, description="Token of a Telegram bot.")
    telegram_bot_token_file: File = Field(None, description="File that holds the token.")

    webex_api_url: URL = Field("https://webexapis.com/v1/messages", description="Webex' API.")

    rocketchat_api_url: URL = Field("https://open.rocket.chat/", description="Rocket.Chat's API.")
    rocketchat_token: SecretText | None = Field(None, description="Rocket.Chat's token.")
    rocketchat_token_file: File = Field(None, description="File that holds the token.")
    rocketchat_token_id: SecretText | None = Field(None, description="Who the token belongs to.")
    rocketchat_token_id_file: File = Field(None, description="File that holds the token's id.")

    mattermost_webhook_url: SecretURL | None = Field(None, description="Mattermost's webhook.")
    mattermost_webhook_url_file: File = Field(None, description="File that holds the webhook.")

    wechat_api_url: URL = Field("https://qyapi.weixin.qq.com/cgi-bin/", description="WeChat's API.")
    wechat_api_secret: SecretText | None = Field(None, description="WeChat's secret.")
    wechat_api_secret_file: File = Field(None, description="File that holds WeChat's secret.")
    wechat_api_corp_id: Text = Field("", description="The corporation in WeChat.")

    jira_api_url: URL | None = Field(None, description="Jira's API.")

    @model_validator(mode="after")
    def _twins(self) -> Self:
        for name in type(self).model_fields:
            if name.endswith("_file"):
                at_most_one(self, name.removesuffix("_file"), name)
        if self.slack_app_token or self.slack_app_token_file:
            self._one_way_to_slack()
        return self

    def _one_way_to_slack(self) -> None:
        """A token beside a webhook contradict one another; beside the API's own URL they do not."""
        url = self.slack_api_url
        if given_in(self, "slack_api_url_file") or (url and url.get_secret_value() != self.slack_app_url):
            raise ValueError("at most one of slack_app_token(_file) and slack_api_url(_file) can be given")
