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

from alertmanager.settings.fleetowl import FleetowlSettings, RetrySettings
from alertmanager.settings.inhibit import InhibitRuleSettings
from alertmanager.settings.intervals import TimeIntervalSettings
from alertmanager.settings.receivers import (
    AppriseConfig,
    ConsoleConfig,
    IntegrationConfig,
    IntegrationKind,
    LogConfig,
    ReceiverSettings,
    WebhookConfig,
)
from alertmanager.settings.root import AlertmanagerSettings, GlobalSettings
from alertmanager.settings.route import RouteSettings

__all__ = [
    "AlertmanagerSettings",
    "AppriseConfig",
    "ConsoleConfig",
    "FleetowlSettings",
    "GlobalSettings",
    "InhibitRuleSettings",
    "IntegrationConfig",
    "IntegrationKind",
    "LogConfig",
    "ReceiverSettings",
    "RetrySettings",
    "RouteSettings",
    "TimeIntervalSettings",
    "WebhookConfig",
]
