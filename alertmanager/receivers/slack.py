"""Slack: a webhook, or the API with an app's token; the message is an attachment as Alertmanager makes it.

With `update_message` the group's message is edited for as long as this process remembers where it is;
after a restart the next notification is a message of its own.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from typing import Any

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet, given, secret
from alertmanager.receivers.posting import Poster
from alertmanager.settings.integrations.slack import SlackConfig

TEXT = 3000
"""Bytes of our own text: Slack folds longer ones."""

_LATER = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable"})
_REMEMBERED = 10_000


class Slack:
    """One channel."""

    def __init__(self, config: SlackConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, config.timeout, outlet.session)
        markup = "slack_names" if config.link_names else "slack"
        self._title = outlet.human(config, "title", outlet.title(markup), markup)
        self._text = outlet.human(config, "text", outlet.body(markup, TEXT), markup)
        self._fallback = outlet.human(config, "fallback", outlet.title(markup), markup)
        names = (
            "channel", "username", "color", "title_link", "pretext", "message_text", "footer", "callback_id",
            "icon_emoji", "icon_url", "image_url", "thumb_url",
        )  # fmt: skip
        self._texts = {name: outlet.fill(getattr(config, name), markup) for name in names}
        self._fields = [outlet.part(each, markup) for each in config.fields]
        self._actions = [outlet.part(each, markup) for each in config.actions]
        self._messages: OrderedDict[str, tuple[str, str]] = OrderedDict()

    async def send(self, notification: Notification) -> Outcome:
        """Post it, or edit the group's message."""
        try:
            url = secret(self._config.api_url, self._config.api_url_file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"api_url_file cannot be read: {error}")
        message = self._message(notification)
        earlier = self._messages.get(notification.group_key) if self._config.update_message else None
        if earlier is not None:
            url = url.replace("chat.postMessage", "chat.update")
            message["channel"], message["ts"] = earlier

        def judge(_: int, text: str) -> Outcome | None:
            return self._judge(notification.group_key, text)

        return await self._poster.post(url, self._outlet.json(message), judge=judge)

    def _message(self, notification: Notification) -> dict[str, Any]:
        config = self._config
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        names = ("title_link", "pretext", "footer", "color", "callback_id", "image_url", "thumb_url")
        attachment = {
            "title": self._title(notification),
            "text": self._text(notification),
            "fallback": self._fallback(notification),
            **{name: texts[name] for name in names},
            "mrkdwn_in": list(config.mrkdwn_in) or ["fallback", "pretext", "text"],
            "fields": [{"short": config.short_fields, **each(notification)} for each in self._fields],
            "actions": [each(notification) for each in self._actions],
        }
        message = given(
            {
                "channel": texts["channel"],
                "username": texts["username"],
                "icon_emoji": texts["icon_emoji"],
                "icon_url": texts["icon_url"],
                "link_names": config.link_names or None,
                "text": texts["message_text"],
            }
        )
        return {**message, "attachments": [given(attachment)]}

    def _judge(self, group_key: str, text: str) -> Outcome | None:
        """The API says 200 also when it refuses; a webhook says `ok` in plain text."""
        if not text.lstrip().startswith("{"):
            return None
        try:
            answer = json.loads(text)
        except ValueError:
            return None  # cut where we stopped to read: an answer so long is the message itself
        if answer.get("ok") is False:
            error = str(answer.get("error", "no reason"))
            self._messages.pop(group_key, None)  # it may have been deleted: the next one is a new message
            return Outcome(False, error in _LATER, f"Slack refused it: {error}")
        if self._config.update_message and answer.get("ts"):
            self._messages[group_key] = str(answer.get("channel", "")), str(answer["ts"])
            while len(self._messages) > _REMEMBERED:
                self._messages.popitem(last=False)
        return None
