"""The section `alertmanager:`: Alertmanager's own names, and a `fleetowl:` part for what it has not.

A small team needs little: a receiver, and a route for each tier.

    alertmanager:
      route:
        receiver: team
        group_by: [incident]
        routes:
          - matchers: ['tier="P0"']
            receiver: pager
      receivers:
        - name: team
          webhook_configs: [{url: "https://chat.example/hook"}]
        - name: pager
          apprise_configs: [{urls: ["pagerduty://KEY@ROUTING"]}]
"""

from __future__ import annotations

from alertmanager.settings.fleetowl import FleetowlSettings, RateSettings, RetrySettings
from alertmanager.settings.global_ import GlobalSettings
from alertmanager.settings.http import HTTPConfig
from alertmanager.settings.inhibit import InhibitRuleSettings
from alertmanager.settings.integrations.base import HTTPIntegration, IntegrationConfig
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
from alertmanager.settings.integrations.own import AlertmanagerConfig, AppriseConfig, ConsoleConfig, LogConfig
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
from alertmanager.settings.intervals import IntervalSettings, TimeIntervalSettings
from alertmanager.settings.receivers import KINDS, IntegrationKind, ReceiverSettings
from alertmanager.settings.root import AlertmanagerSettings
from alertmanager.settings.route import RouteSettings

__all__ = [
    "KINDS",
    "AlertmanagerConfig",
    "AlertmanagerSettings",
    "AppriseConfig",
    "ConsoleConfig",
    "DiscordConfig",
    "EmailConfig",
    "FleetowlSettings",
    "GlobalSettings",
    "HTTPConfig",
    "HTTPIntegration",
    "IncidentioConfig",
    "InhibitRuleSettings",
    "IntegrationConfig",
    "IntegrationKind",
    "IntervalSettings",
    "JiraConfig",
    "LogConfig",
    "MSTeamsConfig",
    "MSTeamsV2Config",
    "MattermostConfig",
    "OpsgenieConfig",
    "PagerDutyConfig",
    "PushoverConfig",
    "RateSettings",
    "ReceiverSettings",
    "RetrySettings",
    "RocketChatConfig",
    "RouteSettings",
    "SNSConfig",
    "SlackConfig",
    "TelegramConfig",
    "TimeIntervalSettings",
    "VictorOpsConfig",
    "WeChatConfig",
    "WebexConfig",
    "WebhookConfig",
]
