"""A POST of Alertmanager's webhook JSON, version 4.

Two headers are ours: `Idempotency-Key` and `X-Fleetowl-Dedup-Key` hold the same key for a repetition of
the same notification. Redirects are not followed: a POST would arrive as a GET without its body.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.masking import masked, masked_url, secrets_in
from alertmanager.settings import WebhookConfig
from model.alert import Alert
from model.labels import format_fingerprint
from model.moment import SECOND, format_moment
from model.settings import read_secret

NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time: `endsAt` of an alert that fires."""

Session = Callable[[], aiohttp.ClientSession]


class Webhook:
    """One webhook of one receiver."""

    def __init__(self, config: WebhookConfig, external_url: str, session: Session) -> None:
        self._config = config
        self._external_url = external_url
        self._session = session
        self._tls: ssl.SSLContext | None = None

    async def send(self, notification: Notification) -> Outcome:
        """POST it; whatever goes wrong is in the outcome, without secrets."""
        secrets: set[str] = set()
        try:
            url = read_secret(self._config.url, self._config.url_file) or ""
            credentials = self._config.http_config.request_headers()
            secrets = secrets_in(url) | {value for header in credentials.values() for value in header.split()}
            return await self._post(url, credentials, notification, secrets)
        except TimeoutError:
            seconds = self._config.timeout / SECOND
            return Outcome(False, True, f"{masked_url(url)} did not answer within {seconds:g}s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(False, True, masked(f"{type(error).__name__}: {error}", secrets))

    async def _post(
        self, url: str, credentials: dict[str, str], notification: Notification, secrets: set[str]
    ) -> Outcome:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Fleetowl",
            "Idempotency-Key": notification.dedup_key,
            "X-Fleetowl-Dedup-Key": notification.dedup_key,
            **credentials,
        }
        server_name = self._config.http_config.tls_config.server_name
        async with self._session().post(
            url,
            data=json.dumps(payload(notification, self._external_url, self._config.max_alerts)).encode(),
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._config.timeout / SECOND),
            allow_redirects=False,
            ssl=self._context(),
            server_hostname=server_name or None,
        ) as response:
            taken = 200 <= response.status < 300  # then the body is of no interest, and may never come
            text = "" if taken else (await response.content.read(1024)).decode(errors="replace")
            answer = masked(
                f"{response.status} {response.reason or ''} {_detail(response.status, text)}", secrets
            )
            return outcome_of(response.status, answer, response.headers.get("Retry-After", ""))

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._config.http_config.ssl_context()
        return self._tls


def outcome_of(status: int, answer: str, retry_after: str = "") -> Outcome:
    """2xx took it; 429 and 5xx may take it later; anything else is a refusal."""
    if 200 <= status < 300:
        return Outcome(True, False, answer)
    wait = int(retry_after) * SECOND if retry_after.isdecimal() and len(retry_after) < 8 else 0
    return Outcome(False, status == 429 or status >= 500, answer, wait)


def payload(notification: Notification, external_url: str = "", max_alerts: int = 0) -> dict[str, Any]:
    """The body; the field names and the order of alerts are Alertmanager's."""
    alerts = notification.alerts[:max_alerts] if max_alerts else notification.alerts
    return {
        "version": "4",
        "groupKey": notification.group_key,
        "truncatedAlerts": len(notification.alerts) - len(alerts),
        "status": notification.status,
        "receiver": notification.receiver,
        "groupLabels": dict(notification.group_labels),
        "commonLabels": _shared([dict(alert.labels) for alert in alerts]),
        "commonAnnotations": _shared([dict(alert.annotations) for alert in alerts]),
        "externalURL": external_url,
        "alerts": [_alert(alert, notification.at) for alert in alerts],
    }


def _alert(alert: Alert, now: int) -> dict[str, Any]:
    ended = alert.ends_at is not None and alert.resolved_at(now)
    return {
        "status": "resolved" if ended else "firing",
        "labels": dict(alert.labels),
        "annotations": dict(alert.annotations),
        "startsAt": format_moment(alert.starts_at),
        "endsAt": format_moment(alert.ends_at) if ended and alert.ends_at is not None else NEVER,
        "generatorURL": alert.generator_url,
        "fingerprint": format_fingerprint(alert.fingerprint),
    }


def _shared(sets: Sequence[dict[str, str]]) -> dict[str, str]:
    """The pairs that all sets have."""
    if not sets:
        return {}
    return {name: value for name, value in sets[0].items() if all(other.get(name) == value for other in sets)}


def _detail(status: int, text: str) -> str:
    if 300 <= status < 400:
        return "(redirects are not followed)"
    return text if status >= 400 else ""
