"""PagerDuty: the events API v2 (routing_key), or v1 (service_key).

A group is one incident there: its key is the hash of the group's key, `trigger` while it fires and
`resolve` when all is over. Without a severity of its own an event has that of its tier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alertmanager.fitting import encoded, fitted_body
from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet, given, group_hash, secret, severity
from alertmanager.receivers.posting import Poster
from alertmanager.settings.integrations.pagerduty import PagerDutyConfig
from alertmanager.text import cut_bytes, ended, title

V1_URL = "https://events.pagerduty.com/generic/2010-04-15/create_event.json"
V2_URL = "https://events.pagerduty.com/v2/enqueue"
SUMMARY = 1024
"""PagerDuty's limit of a summary, in characters; source: its events API v2."""

LISTED = (20, 5, 1)
"""So many incidents are listed, the rest is counted: the first number with which the event fits."""

_LARGEST = 500 * 1024
"""Below PagerDuty's limit of an event, 512 KiB."""


class PagerDuty:
    """One service of PagerDuty."""

    def __init__(self, config: PagerDutyConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, config.timeout, outlet.session)
        self._summary = outlet.human(config, "description", title)
        names = ("client", "client_url", "severity", "class_", "component", "group", "source")
        self._texts = {name: outlet.fill(getattr(config, name)) for name in names}
        self._details = outlet.tree(config.details)
        self._images = [outlet.part(image) for image in config.images]
        self._links = [outlet.part(link) for link in config.links]

    async def send(self, notification: Notification) -> Outcome:
        """Trigger or resolve."""
        config = self._config
        v1 = bool(config.service_key or config.service_key_file)
        try:
            key = (
                secret(config.service_key, config.service_key_file)
                if v1
                else secret(config.routing_key, config.routing_key_file)
            )
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"the key's file cannot be read: {error}")
        url = config.url or V2_URL
        if v1 and url == V2_URL:
            url = V1_URL
        make = self._v1 if v1 else self._v2
        body = self._bytes([make(key, notification, listed) for listed in LISTED])
        return await self._poster.post(url, body, secrets={key})

    def _v2(self, key: str, notification: Notification, listed: int) -> dict[str, Any]:
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        return {
            "routing_key": key,
            "dedup_key": group_hash(notification),
            "event_action": "resolve" if ended(notification) else "trigger",
            "payload": given(
                {
                    "summary": cut_bytes(self._summary(notification), SUMMARY) or "alert",
                    "source": texts["source"] or "Fleetowl",
                    "severity": texts["severity"].lower() or severity(notification.tier),
                    "class": texts["class_"],
                    "component": texts["component"],
                    "group": texts["group"],
                    "custom_details": self._custom(notification, listed),
                }
            ),
            **given(
                {
                    "client": texts["client"],
                    "client_url": texts["client_url"],
                    "images": [image(notification) for image in self._images],
                    "links": [link(notification) for link in self._links] + _links(notification, listed),
                }
            ),
        }

    def _v1(self, key: str, notification: Notification, listed: int) -> dict[str, Any]:
        return {
            "service_key": key,
            "event_type": "resolve" if ended(notification) else "trigger",
            "incident_key": group_hash(notification),
            "description": cut_bytes(self._summary(notification), SUMMARY) or "alert",
            "client": self._texts["client"](notification),
            "client_url": self._texts["client_url"](notification),
            "details": self._custom(notification, listed),
        }

    def _custom(self, notification: Notification, listed: int) -> dict[str, Any]:
        details = self._details(notification)
        if notification.briefs:
            details["incidents"] = [
                given({"incident": brief.incident, "title": brief.title, "lines": list(brief.lines)})
                for brief in notification.briefs[:listed]
            ]
            if len(notification.briefs) > listed:
                details["more_incidents"] = str(len(notification.briefs) - listed)
        return dict(details)

    def _bytes(self, messages: Sequence[dict[str, Any]]) -> bytes:
        """The first message that fits, or the last one with its texts cut; key and action always stay."""
        limit = min(self._outlet.cap or _LARGEST, _LARGEST)
        fitting = (body for body in map(encoded, messages) if len(body) <= limit)
        return next(fitting, None) or fitted_body(messages[-1], limit)


def _links(notification: Notification, listed: int) -> list[dict[str, str]]:
    links = list[dict[str, str]]()
    for brief in notification.briefs[:listed]:
        if brief.ack_url:
            links.append({"href": brief.ack_url, "text": f"Acknowledge {brief.incident}"})
        if brief.url:
            links.append({"href": brief.url, "text": brief.incident})
    return links
