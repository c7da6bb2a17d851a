"""Chats that take one POST to a webhook: Discord, Microsoft Teams (both ways), Mattermost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet, given, secret
from alertmanager.receivers.posting import Poster
from alertmanager.settings.common import TIMEOUT
from alertmanager.settings.http import HTTPConfig
from alertmanager.settings.integrations.chats import (
    DiscordConfig,
    MattermostConfig,
    MSTeamsConfig,
    MSTeamsV2Config,
)
from alertmanager.text import ended

Message = Callable[[Notification], dict[str, Any]]


class Hook:
    """One webhook; `message` makes its body."""

    def __init__(
        self, url: SecretStr | None, file: Path | None, http: HTTPConfig, outlet: Outlet, message: Message
    ) -> None:
        self._url, self._file = url, file
        self._outlet = outlet
        self._message = message
        self._poster = Poster(http, TIMEOUT, outlet.session)

    async def send(self, notification: Notification) -> Outcome:
        """POST it."""
        try:
            url = secret(self._url, self._file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"webhook_url_file cannot be read: {error}")
        return await self._poster.post(url, self._outlet.json(self._message(notification)))


def discord(config: DiscordConfig, outlet: Outlet) -> Hook:
    """An embed; nobody can be mentioned by it. Limits: Discord's, in characters."""
    title = outlet.human(config, "title", outlet.title("markdown", 200), "markdown")
    text = outlet.human(config, "message", outlet.body("markdown", 4000), "markdown")
    names = ("content", "username", "avatar_url")
    texts = {name: outlet.fill(getattr(config, name), "markdown") for name in names}

    def message(notification: Notification) -> dict[str, Any]:
        embed = {
            "title": title(notification)[:256],
            "description": text(notification)[:4096],
            "color": 0x1B6E3C if ended(notification) else 0xB3261E,
        }
        return {
            **given({name: fill(notification)[:2000] for name, fill in texts.items()}),
            "embeds": [embed],
            "allowed_mentions": {"parse": []},
        }

    return Hook(config.webhook_url, config.webhook_url_file, config.http_config, outlet, message)


def msteams(config: MSTeamsConfig, outlet: Outlet) -> Hook:
    """A message card of an Office 365 connector."""
    title = outlet.human(config, "title", outlet.title("markdown"), "markdown")
    summary = outlet.human(config, "summary", outlet.title("markdown"), "markdown")
    text = outlet.human(config, "text", _paragraphs(outlet.body("markdown", 20_000)), "markdown")

    def message(notification: Notification) -> dict[str, Any]:
        return {
            "@context": "http://schema.org/extensions",
            "type": "MessageCard",
            "title": title(notification),
            "summary": summary(notification),
            "text": text(notification),
            "themeColor": "1B6E3C" if ended(notification) else "B3261E",
        }

    return Hook(config.webhook_url, config.webhook_url_file, config.http_config, outlet, message)


def msteamsv2(config: MSTeamsV2Config, outlet: Outlet) -> Hook:
    """An adaptive card for a flow of Power Automate."""
    title = outlet.human(config, "title", outlet.title("markdown"), "markdown")
    text = outlet.human(config, "text", _paragraphs(outlet.body("markdown", 20_000)), "markdown")

    def message(notification: Notification) -> dict[str, Any]:
        heading = {
            "type": "TextBlock",
            "text": title(notification),
            "weight": "Bolder",
            "size": "Medium",
            "wrap": True,
            "style": "heading",
            "color": "Good" if ended(notification) else "Attention",
        }
        content = {
            "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
            "type": "AdaptiveCard",
            "version": "1.4",
            "body": [heading, {"type": "TextBlock", "text": text(notification), "wrap": True}],
            "msteams": {"width": "full"},
        }
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "content": content}
        return {"type": "message", "attachments": [card]}

    return Hook(config.webhook_url, config.webhook_url_file, config.http_config, outlet, message)


def mattermost(config: MattermostConfig, outlet: Outlet) -> Hook:
    """A post with attachments, as Alertmanager makes it."""
    title = outlet.human(config, "title", outlet.title("markdown"), "markdown")
    text = outlet.human(config, "text", outlet.body("markdown", 12_000), "markdown")
    fallback = outlet.human(config, "fallback", outlet.title("markdown"), "markdown")
    names = (
        "color", "pretext", "author_name", "author_link", "author_icon", "title_link", "thumb_url", "footer",
        "footer_icon", "image_url",
    )  # fmt: skip
    texts = {name: outlet.fill(getattr(config, name), "markdown") for name in names}
    tops = ("channel", "username", "icon_url", "icon_emoji", "type")
    top = {name: outlet.fill(getattr(config, name)) for name in tops}
    fields = [outlet.part(each, "markdown") for each in config.fields]
    parts = [outlet.part(each, "markdown") for each in config.attachments]
    props = outlet.part(config.props) if config.props else None
    priority = outlet.part(config.priority) if config.priority else None

    def message(notification: Notification) -> dict[str, Any]:
        attachment = {
            "title": title(notification),
            "text": text(notification),
            "fallback": fallback(notification),
            **{name: fill(notification) for name, fill in texts.items()},
            "fields": [each(notification) for each in fields],
        }
        return {
            **given({name: fill(notification) for name, fill in top.items()}),
            "attachments": [each(notification) for each in parts] or [given(attachment)],
            **given(
                {
                    "props": props(notification) if props else None,
                    "priority": priority(notification) if priority else None,
                }
            ),
        }

    return Hook(config.webhook_url, config.webhook_url_file, config.http_config, outlet, message)


def _paragraphs(fill: Callable[[Notification], str]) -> Callable[[Notification], str]:
    """Teams joins lines that follow one another."""
    return lambda notification: fill(notification).replace("\n\n", "\n").replace("\n", "\n\n")
