"""Receivers: named sets of ways to notify."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self, get_args

from pydantic import Field

from alertmanager.settings.common import Place, Text
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.integrations.base import IntegrationConfig
from alertmanager.settings.integrations.chats import (
    DiscordConfig,
    MattermostConfig,
    MSTeamsConfig,
    MSTeamsV2Config,
)
from alertmanager.settings.integrations.email import EmailConfig
from alertmanager.settings.integrations.incidentio import IncidentioConfig
from alertmanager.settings.integrations.jira import JiraConfig
from alertmanager.settings.integrations.opsgenie import OpsgenieConfig
from alertmanager.settings.integrations.own import (
    AlertmanagerConfig,
    AppriseConfig,
    ConsoleConfig,
    LogConfig,
)
from alertmanager.settings.integrations.pagerduty import PagerDutyConfig
from alertmanager.settings.integrations.pushover import PushoverConfig
from alertmanager.settings.integrations.rocketchat import RocketChatConfig
from alertmanager.settings.integrations.slack import SlackConfig
from alertmanager.settings.integrations.sns import SNSConfig
from alertmanager.settings.integrations.telegram import TelegramConfig
from alertmanager.settings.integrations.victorops import VictorOpsConfig
from alertmanager.settings.integrations.webex import WebexConfig
from alertmanager.settings.integrations.webhook import WebhookConfig
from alertmanager.settings.integrations.wechat import WeChatConfig
from model.settings import Settings

IntegrationKind = Literal[
    "webhook",
    "email",
    "pagerduty",
    "slack",
    "opsgenie",
    "victorops",
    "pushover",
    "discord",
    "msteams",
    "msteamsv2",
    "telegram",
    "webex",
    "rocketchat",
    "mattermost",
    "sns",
    "wechat",
    "jira",
    "incidentio",
    "apprise",
    "alertmanager",
    "console",
    "log",
]
"""Alertmanager's 18 kinds, and four of Fleetowl's own; also the order in which a receiver's are listed."""

KINDS: tuple[IntegrationKind, ...] = get_args(IntegrationKind)


class ReceiverSettings(Settings):
    """A named set of ways to notify; without any it swallows what is routed to it."""

    name: Text = Field(min_length=1, description="The name that routes use.")
    webhook_configs: tuple[WebhookConfig, ...] = Field((), description="Webhooks in Alertmanager's JSON.")
    email_configs: tuple[EmailConfig, ...] = Field((), description="Mails.")
    pagerduty_configs: tuple[PagerDutyConfig, ...] = Field((), description="PagerDuty.")
    slack_configs: tuple[SlackConfig, ...] = Field((), description="Slack.")
    opsgenie_configs: tuple[OpsgenieConfig, ...] = Field((), description="Opsgenie.")
    victorops_configs: tuple[VictorOpsConfig, ...] = Field((), description="VictorOps.")
    pushover_configs: tuple[PushoverConfig, ...] = Field((), description="Pushover.")
    discord_configs: tuple[DiscordConfig, ...] = Field((), description="Discord.")
    msteams_configs: tuple[MSTeamsConfig, ...] = Field((), description="Teams by Office 365 connector.")
    msteamsv2_configs: tuple[MSTeamsV2Config, ...] = Field((), description="Teams by Power Automate.")
    telegram_configs: tuple[TelegramConfig, ...] = Field((), description="Telegram.")
    webex_configs: tuple[WebexConfig, ...] = Field((), description="Webex.")
    rocketchat_configs: tuple[RocketChatConfig, ...] = Field((), description="Rocket.Chat.")
    mattermost_configs: tuple[MattermostConfig, ...] = Field((), description="Mattermost.")
    sns_configs: tuple[SNSConfig, ...] = Field((), description="Amazon SNS.")
    wechat_configs: tuple[WeChatConfig, ...] = Field((), description="WeChat for companies.")
    jira_configs: tuple[JiraConfig, ...] = Field((), description="Jira.")
    incidentio_configs: tuple[IncidentioConfig, ...] = Field((), description="incident.io.")
    apprise_configs: tuple[AppriseConfig, ...] = Field((), description="Services by apprise URL.")
    alertmanager_configs: tuple[AlertmanagerConfig, ...] = Field((), description="Other Alertmanagers.")
    console_configs: tuple[ConsoleConfig, ...] = Field((), description="Lines on standard output.")
    log_configs: tuple[LogConfig, ...] = Field((), description="Lines in Fleetowl's log.")

    def integrations(self) -> Iterator[tuple[IntegrationKind, int, IntegrationConfig]]:
        """Kind, position within its kind, and configuration of each."""
        for kind in KINDS:
            for position, config in enumerate(getattr(self, f"{kind}_configs")):
                yield kind, position, config

    def inherit(self, common: GlobalSettings) -> tuple[Self, list[tuple[Place, str]]]:
        """With what `global:` says where an integration says nothing, and what is missing then."""
        update: dict[str, object] = {}
        wrong: list[tuple[Place, str]] = []
        for kind in KINDS:
            whole = []
            for position, config in enumerate(getattr(self, f"{kind}_configs")):
                try:
                    whole.append(config.inherit(common))
                except ValueError as error:
                    wrong.append(((f"{kind}_configs", position), str(error)))
            if whole:
                update[f"{kind}_configs"] = tuple(whole)
        return self.model_copy(update=update), wrong
