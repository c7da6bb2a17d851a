"""A POST of Alertmanager's webhook JSON, version 4.

Two headers are ours: `Idempotency-Key` and `X-Fleetowl-Dedup-Key` hold the same key for a repetition of
the same notification.
"""

from __future__ import annotations

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.payload import Writer
from alertmanager.receivers.posting import Poster, Session
from alertmanager.settings import WebhookConfig
from model.settings import read_secret


class Webhook:
    """One webhook of one receiver."""

    def __init__(self, config: WebhookConfig, writer: Writer, session: Session) -> None:
        self._config = config
        self._writer = writer
        self._poster = Poster(config.http_config, config.timeout, session)

    async def send(self, notification: Notification) -> Outcome:
        """POST it; whatever goes wrong is in the outcome, without secrets."""
        try:
            url = read_secret(self._config.url, self._config.url_file) or ""
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"url_file cannot be read: {error}")
        body = self._writer.write(notification, self._config.max_alerts)
        return await self._poster.post(url, body, dedup_headers(notification))


def dedup_headers(notification: Notification) -> dict[str, str]:
    """By these a receiver knows a repetition."""
    return {
        "Idempotency-Key": notification.dedup_key,
        "X-Fleetowl-Dedup-Key": notification.dedup_key,
    }
