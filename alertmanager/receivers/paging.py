"""Services that page people: Opsgenie, VictorOps (Splunk On-Call), Pushover, incident.io."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet, given, group_hash, secret
from alertmanager.receivers.posting import Poster
from alertmanager.receivers.webhook import dedup_headers
from alertmanager.settings.common import TIMEOUT
from alertmanager.settings.integrations.incidentio import IncidentioConfig
from alertmanager.settings.integrations.opsgenie import OpsgenieConfig
from alertmanager.settings.integrations.pushover import PushoverConfig
from alertmanager.settings.integrations.victorops import VictorOpsConfig
from alertmanager.text import cut_bytes, ended, rest_url
from model.moment import SECOND

PUSHOVER_URL = "https://api.pushover.net/1/messages.json"


class Opsgenie:
    """An alert of Opsgenie for each group, closed when all is over. Lengths: Opsgenie's, in characters."""

    def __init__(self, config: OpsgenieConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, TIMEOUT, outlet.session)
        self._headline = outlet.human(config, "message", outlet.title(limit=130))
        self._text = outlet.human(config, "description", outlet.body(limit=15_000))
        names = ("source", "entity", "actions", "tags", "note", "priority")
        self._texts = {name: outlet.fill(getattr(config, name)) for name in names}
        self._details = outlet.tree(config.details)
        self._responders = [outlet.part(each) for each in config.responders]

    async def send(self, notification: Notification) -> Outcome:
        """Create it (again is no harm: the alias is the group's), or close it."""
        try:
            key = secret(self._config.api_key, self._config.api_key_file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"api_key_file cannot be read: {error}")
        base = f"{(self._config.api_url or '').rstrip('/')}/v2/alerts"
        alias = f"{base}/{group_hash(notification)}"
        if ended(notification):
            source = {"source": self._texts["source"](notification)}
            return await self._post(f"{alias}/close?identifierType=alias", source, key)
        outcome = await self._post(base, self._message(notification), key)
        if outcome.ok and self._config.update_alerts:
            for part, text in (("message", self._headline), ("description", self._text)):
                words = text(notification)[: 130 if part == "message" else 15_000]
                url = f"{alias}/{part}?identifierType=alias"
                changed = await self._post(url, {part: words}, key, "PUT")
                outcome = outcome if changed.ok else changed
        return outcome

    async def _post(self, url: str, body: dict[str, Any], key: str, method: str = "POST") -> Outcome:
        headers = {"Authorization": f"GenieKey {key}"}
        return await self._poster.post(
            url, self._outlet.json(body), headers=headers, secrets={key}, method=method
        )

    def _message(self, notification: Notification) -> dict[str, Any]:
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        commas = {
            name: [each.strip() for each in texts[name].split(",") if each.strip()]
            for name in ("tags", "actions")
        }
        labels = {name: value[:8000] for name, value in notification.group_labels.items()}
        message = {
            "alias": group_hash(notification),
            "message": self._headline(notification)[:130] or "alert",
            "description": self._text(notification)[:15_000],
            "details": {**labels, **self._details(notification)},
            "source": texts["source"][:100],
            "responders": [each for one in self._responders for each in _responders(one(notification))],
            "entity": texts["entity"][:512],
            "note": texts["note"],
            "priority": texts["priority"] or f"P{notification.tier + 1}",
            **commas,
        }
        return given(message)


def _responders(one: dict[str, Any]) -> list[dict[str, Any]]:
    """`teams` names several teams with commas."""
    one = {**given(one), "type": str(one.get("type", "")).lower()}
    if one["type"] != "teams":
        return [one]
    names = [name.strip() for name in str(one.get("name", "")).split(",")]
    return [{"name": name, "type": "team"} for name in names if name]


class VictorOps:
    """An incident of VictorOps for each group."""

    def __init__(self, config: VictorOpsConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, TIMEOUT, outlet.session)
        self._headline = outlet.human(config, "entity_display_name", outlet.title())
        self._text = outlet.human(config, "state_message", outlet.body(limit=20_000))
        names = ("routing_key", "message_type", "monitoring_tool")
        self._texts = {name: outlet.fill(getattr(config, name)) for name in names}
        self._custom = outlet.tree(config.custom_fields)

    async def send(self, notification: Notification) -> Outcome:
        """Raise it, or recover."""
        config = self._config
        try:
            key = secret(config.api_key, config.api_key_file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"api_key_file cannot be read: {error}")
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        kind = texts["message_type"].upper()
        message = {
            "message_type": "RECOVERY" if ended(notification) else kind or "CRITICAL",
            "entity_id": group_hash(notification),
            "entity_display_name": self._headline(notification),
            "state_message": cut_bytes(self._text(notification), 20_480),
            "monitoring_tool": texts["monitoring_tool"],
            **self._custom(notification),
        }
        route = quote(texts["routing_key"], safe="")
        url = f"{(config.api_url or '').rstrip('/')}/{quote(key, safe='')}/{route}"
        return await self._poster.post(url, self._outlet.json(message), secrets={key})


class Pushover:
    """One user or group of Pushover. Lengths: Pushover's, in characters."""

    def __init__(self, config: PushoverConfig, outlet: Outlet) -> None:
        self._config = config
        self._poster = Poster(config.http_config, TIMEOUT, outlet.session)
        markup = "html_text" if config.html else "text"
        self._title = outlet.human(config, "title", outlet.title())
        self._text = outlet.human(config, "message", outlet.body(markup, 1000), markup)
        self._url = outlet.human(config, "url", lambda told: rest_url(told, outlet.external_url))
        names = ("url_title", "device", "sound", "priority")
        self._texts = {name: outlet.fill(getattr(config, name)) for name in names}

    async def send(self, notification: Notification) -> Outcome:
        """Push it."""
        config = self._config
        try:
            token, user = (
                secret(config.token, config.token_file),
                secret(config.user_key, config.user_key_file),
            )
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"token_file or user_key_file cannot be read: {error}")
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        message = {
            "token": token,
            "user": user,
            "title": self._title(notification)[:250],
            "message": self._text(notification)[:1024].strip() or "(no details)",
            "url": self._url(notification)[:512],
            "url_title": texts["url_title"][:100],
            "device": texts["device"],
            "sound": texts["sound"],
            "priority": texts["priority"].strip(),
            "retry": str(config.retry // SECOND),
            "expire": str(config.expire // SECOND),
            "ttl": str(config.ttl // SECOND) if config.ttl else "",
            "html": "1" if config.html else "",
            "monospace": "1" if config.monospace else "",
        }
        return await self._poster.post(
            PUSHOVER_URL,
            urlencode(given(message), errors="replace").encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            secrets={token, user},
        )


class IncidentIo:
    """An alert source of incident.io, which reads Alertmanager's webhook."""

    def __init__(self, config: IncidentioConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, config.timeout, outlet.session)

    async def send(self, notification: Notification) -> Outcome:
        """POST it."""
        config = self._config
        try:
            url = config.url or secret(None, config.url_file)
            token = secret(config.alert_source_token, config.alert_source_token_file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"url_file or alert_source_token_file cannot be read: {error}")
        headers = dedup_headers(notification)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        body = self._outlet.writer.write(notification, config.max_alerts)
        return await self._poster.post(url, body, headers=headers, secrets={token} if token else ())
