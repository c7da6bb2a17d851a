"""Chats with an API: Telegram, Webex, Rocket.Chat."""

from __future__ import annotations

import json
from typing import Any

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet, given, secret
from alertmanager.receivers.posting import Poster
from alertmanager.settings.common import TIMEOUT
from alertmanager.settings.integrations.rocketchat import RocketChatConfig
from alertmanager.settings.integrations.telegram import TelegramConfig
from alertmanager.settings.integrations.webex import WebexConfig
from alertmanager.text import cut_bytes
from model.moment import SECOND

TELEGRAM = 4096
"""Characters of a message; source: Telegram's bot API."""

WEBEX = 7439
"""Bytes of a message; source: Webex' messages API."""


class Telegram:
    """One chat. Formatting is what `parse_mode` says; values in it are text."""

    def __init__(self, config: TelegramConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, config.timeout, outlet.session)
        markup = {"": "text", "HTML": "html_text"}.get(config.parse_mode, config.parse_mode)
        title, body = outlet.title(markup, 200), outlet.body(markup, 3600)
        self._text = outlet.human(
            config,
            "message",
            lambda notification: f"{title(notification)}\n\n{body(notification)}".strip(),
            markup,
        )

    async def send(self, notification: Notification) -> Outcome:
        """Post it. What is too long is sent without formatting: half a tag would be refused."""
        config = self._config
        try:
            token = secret(config.bot_token, config.bot_token_file)
            chat = config.chat_id or int(secret(None, config.chat_id_file))
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"bot_token_file or chat_id_file cannot be read: {error}")
        text = self._text(notification)
        whole = len(text) <= TELEGRAM
        message = {
            "chat_id": chat,
            "text": text if whole else text[: TELEGRAM - 1] + "…",
            "disable_web_page_preview": True,
            **given(
                {
                    "parse_mode": config.parse_mode if whole else "",
                    "disable_notification": config.disable_notifications or None,
                    "message_thread_id": config.message_thread_id or None,
                }
            ),
        }
        url = f"{(config.api_url or '').rstrip('/')}/bot{token}/sendMessage"
        outcome = await self._poster.post(url, self._outlet.json(message), secrets={token})
        if not outcome.ok and "can't parse entities" in outcome.answer and message.pop("parse_mode", ""):
            # a template of the configuration is no valid markup; a page without it is better than none
            outcome = await self._poster.post(url, self._outlet.json(message), secrets={token})
        return outcome


class Webex:
    """One room."""

    def __init__(self, config: WebexConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, TIMEOUT, outlet.session)
        title, body = outlet.title("markdown"), outlet.body("markdown", 6800)

        def own(notification: Notification) -> str:
            return f"**{title(notification)}**\n\n{body(notification)}".replace("\n", "  \n")

        self._text = outlet.human(config, "message", own, "markdown")
        self._room = outlet.fill(config.room_id)

    async def send(self, notification: Notification) -> Outcome:
        """Post it."""
        message = {
            "markdown": cut_bytes(self._text(notification), WEBEX),
            "roomId": self._room(notification),
        }
        return await self._poster.post(self._config.api_url or "", self._outlet.json(message))


class RocketChat:
    """One channel."""

    def __init__(self, config: RocketChatConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, TIMEOUT, outlet.session)
        self._title = outlet.human(config, "title", outlet.title("markdown"), "markdown")
        self._text = outlet.human(config, "text", outlet.body("markdown", 4000), "markdown")
        names = ("channel", "color", "title_link", "emoji", "icon_url", "image_url", "thumb_url")
        self._texts = {name: outlet.fill(getattr(config, name)) for name in names}
        self._fields = [outlet.part(each, "markdown") for each in config.fields]
        self._actions = [outlet.part(each, "markdown") for each in config.actions]

    async def send(self, notification: Notification) -> Outcome:
        """Post it."""
        config = self._config
        try:
            token = secret(config.token, config.token_file)
            user = secret(config.token_id, config.token_id_file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"token_file or token_id_file cannot be read: {error}")
        url = f"{(config.api_url or '').rstrip('/')}/api/v1/chat.postMessage"
        return await self._poster.post(
            url,
            self._outlet.json(self._message(notification)),
            headers={"X-User-Id": user, "X-Auth-Token": token},
            secrets={token, user},
            judge=_rocketchat,
        )

    def _message(self, notification: Notification) -> dict[str, Any]:
        config = self._config
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        names = ("title_link", "image_url", "thumb_url", "color")
        attachment = {
            "title": self._title(notification),
            "text": self._text(notification),
            **{name: texts[name] for name in names},
            "fields": [{"short": config.short_fields, **each(notification)} for each in self._fields],
            "actions": [
                {_ROCKET_KEYS.get(name, name): value for name, value in each(notification).items()}
                for each in self._actions
            ],
        }
        top = {"channel": texts["channel"], "emoji": texts["emoji"], "avatar": texts["icon_url"]}
        links = {"parseUrls": True} if config.link_names else {}
        return {**given(top), **links, "attachments": [given(attachment)]}


_ROCKET_KEYS = {
    "imageurl": "image_url",
    "iswebview": "is_webview",
    "webviewheightratio": "webview_height_ratio",
    "msginchatwindow": "msg_in_chat_window",
    "msgprocessingtype": "msg_processing_type",
}
"""Rocket.Chat's own spelling of a button's keys."""


def _rocketchat(_: int, text: str) -> Outcome | None:
    """It says 200 also when it refuses."""
    try:
        answer = json.loads(text)
    except ValueError:
        return None
    if isinstance(answer, dict) and answer.get("success") is False:
        reason = str(answer.get("error", "no reason"))
        return Outcome(False, "too many" in reason.lower(), f"Rocket.Chat refused it: {reason}", SECOND)
    return None
