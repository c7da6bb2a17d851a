"""A POST of Alertmanager's webhook JSON, version 4.

Two headers are ours: `Idempotency-Key` and `X-Fleetowl-Dedup-Key` hold the same key for a repetition of
the same notification. With a `payload` of its own the body is that, every text in it a template.
"""

from __future__ import annotations

from alertmanager.fitting import fitted_body
from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet, secret
from alertmanager.receivers.posting import Poster
from alertmanager.settings import WebhookConfig


class Webhook:
    """One webhook of one receiver."""

    def __init__(self, config: WebhookConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, config.timeout, outlet.session)
        self._url = outlet.fill(config.url.get_secret_value(), "url") if config.url else None
        self._payload = outlet.tree(config.payload) if config.payload is not None else None

    async def send(self, notification: Notification) -> Outcome:
        """POST it; whatever goes wrong is in the outcome, without secrets."""
        try:
            url = self._url(notification) if self._url else secret(None, self._config.url_file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"url_file cannot be read: {error}")
        if not url.startswith(("http://", "https://")):
            return Outcome(False, False, "the template of url made no http:// or https:// URL")
        if self._payload is not None:
            body = fitted_body(self._payload(notification), self._outlet.cap)
        else:
            body = self._outlet.writer.write(notification, self._config.max_alerts)
        return await self._poster.post(url, body, dedup_headers(notification))


def dedup_headers(notification: Notification) -> dict[str, str]:
    """By these a receiver knows a repetition."""
    return {
        "Idempotency-Key": notification.dedup_key,
        "X-Fleetowl-Dedup-Key": notification.dedup_key,
    }
