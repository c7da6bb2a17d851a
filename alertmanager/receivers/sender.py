"""Sends what the dispatcher decided. This is the only part of the room that does anything to the outside.

sender = Sender(settings)
outcome = await sender.send(notification)
...
await sender.close()
"""

from __future__ import annotations

from typing import Protocol

import aiohttp

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.apprise_urls import AppriseUrls
from alertmanager.receivers.console import Console
from alertmanager.receivers.log import Log
from alertmanager.receivers.payload import Writer
from alertmanager.receivers.webhook import Webhook
from alertmanager.settings import (
    AlertmanagerSettings,
    AppriseConfig,
    IntegrationConfig,
    WebhookConfig,
)

__all__ = ["Integration", "Outcome", "Sender"]


class Integration(Protocol):
    """One way to notify. It answers within its own timeout and raises nothing."""

    async def send(self, notification: Notification) -> Outcome:
        """Tell the receiver."""


class Sender:
    """All integrations of a configuration, by receiver and name; they share one HTTP session."""

    def __init__(self, settings: AlertmanagerSettings) -> None:
        self._external_url = settings.external_url
        self._writer = Writer(settings.external_url, settings.fleetowl.max_payload)
        self._http: aiohttp.ClientSession | None = None
        self._integrations: dict[tuple[str, str], Integration] = {
            (receiver.name, f"{kind}[{position}]"): self._build(kind, config)
            for receiver in settings.receivers
            for kind, position, config in receiver.integrations()
        }

    async def send(self, notification: Notification) -> Outcome:
        """Tell the notification's receiver; the answer is one sentence without secrets."""
        delivery = notification.delivery
        integration = self._integrations.get((delivery.receiver, delivery.integration))
        if integration is None:
            return Outcome(False, True, f"{delivery} is not in the configuration that is loaded")
        return await integration.send(notification)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None

    def _build(self, kind: str, config: IntegrationConfig) -> Integration:
        if isinstance(config, WebhookConfig):
            return Webhook(config, self._writer, self._session)
        if isinstance(config, AppriseConfig):
            return AppriseUrls(config, self._external_url)
        return Console() if kind == "console" else Log()

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:  # made late: it belongs to the loop that runs
            self._http = aiohttp.ClientSession()
        return self._http
