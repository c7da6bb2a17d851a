"""Which integration a kind of configuration becomes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.apprise_urls import AppriseUrls
from alertmanager.receivers.chats import RocketChat, Telegram, Webex
from alertmanager.receivers.console import Console
from alertmanager.receivers.email import Email
from alertmanager.receivers.hooks import discord, mattermost, msteams, msteamsv2
from alertmanager.receivers.integration import Integration
from alertmanager.receivers.log import Log
from alertmanager.receivers.outlet import Outlet
from alertmanager.receivers.pagerduty import PagerDuty
from alertmanager.receivers.paging import IncidentIo, Opsgenie, Pushover, VictorOps
from alertmanager.receivers.slack import Slack
from alertmanager.receivers.sns import SNS
from alertmanager.receivers.webhook import Webhook
from alertmanager.receivers.wechat import WeChat

BUILDERS: Mapping[str, Callable[[Any, Outlet], Integration]] = {
    "webhook": Webhook,
    "email": Email,
    "pagerduty": PagerDuty,
    "slack": Slack,
    "opsgenie": Opsgenie,
    "victorops": VictorOps,
    "pushover": Pushover,
    "discord": discord,
    "msteams": msteams,
    "msteamsv2": msteamsv2,
    "telegram": Telegram,
    "webex": Webex,
    "rocketchat": RocketChat,
    "mattermost": mattermost,
    "sns": SNS,
    "wechat": WeChat,
    "incidentio": IncidentIo,
    "apprise": lambda config, outlet: AppriseUrls(config, outlet),
    "console": lambda _, outlet: Console(outlet.external_url),
    "log": lambda _, __: Log(),
}
"""By kind; `alertmanager` is built by whoever knows the routes. Building raises TemplateError."""


class Broken:
    """An integration that cannot be built: each attempt says why, and is repeated."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def send(self, notification: Notification) -> Outcome:
        """Says why."""
        return Outcome(False, True, self._why)
