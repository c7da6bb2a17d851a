"""WeChat for companies: a token for the application, then the message."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.outlet import Outlet, given, secret
from alertmanager.receivers.posting import Poster
from alertmanager.settings.common import TIMEOUT
from alertmanager.settings.integrations.wechat import WeChatConfig
from alertmanager.text import cut_bytes

LARGEST = 2048
"""Bytes of a message; source: WeChat's API of messages."""

_LASTS = 7000
"""Seconds; a token lasts 7200."""

_EXPIRED = (40014, 42001)
_LATER = (-1, 45009)
"""The system is busy; too many calls."""


class WeChat:
    """One application and whom it writes to."""

    def __init__(self, config: WeChatConfig, outlet: Outlet) -> None:
        self._config = config
        self._outlet = outlet
        self._poster = Poster(config.http_config, TIMEOUT, outlet.session)
        markup = "markdown" if config.message_type == "markdown" else "text"
        title, body = outlet.title(markup), outlet.body(markup, 1600)
        self._text = outlet.human(
            config, "message", lambda notification: f"{title(notification)}\n{body(notification)}", markup
        )
        names = ("to_user", "to_party", "to_tag", "agent_id")
        self._texts = {name: outlet.fill(getattr(config, name)) for name in names}
        self._token, self._until = "", 0.0

    async def send(self, notification: Notification) -> Outcome:
        """Post it."""
        if time.monotonic() > self._until:
            outcome = await self._renew()
            if not outcome.ok:
                return outcome
        kind = self._config.message_type or "text"
        texts = {name: fill(notification) for name, fill in self._texts.items()}
        message = {
            **given({"touser": texts["to_user"], "toparty": texts["to_party"], "totag": texts["to_tag"]}),
            "agentid": texts["agent_id"],
            "msgtype": kind,
            kind: {"content": cut_bytes(self._text(notification), LARGEST)},
            "safe": "0",
        }
        url = f"{self._base}message/send?{urlencode({'access_token': self._token})}"
        return await self._poster.post(
            url, self._outlet.json(message), secrets={self._token}, judge=self._judge
        )

    @property
    def _base(self) -> str:
        return f"{(self._config.api_url or '').rstrip('/')}/"

    async def _renew(self) -> Outcome:
        try:
            own = secret(self._config.api_secret, self._config.api_secret_file)
        except (OSError, ValueError) as error:
            return Outcome(False, True, f"api_secret_file cannot be read: {error}")
        query = urlencode({"corpid": self._config.corp_id, "corpsecret": own})
        self._token = ""
        outcome = await self._poster.post(
            f"{self._base}gettoken?{query}", b"", secrets={own}, judge=self._judge, method="GET"
        )
        if outcome.ok and not self._token:
            return Outcome(False, True, "WeChat gave no token")
        return outcome

    def _judge(self, _: int, text: str) -> Outcome | None:
        """It says 200 also when it refuses."""
        try:
            answer = json.loads(text)
            code = int(answer.get("errcode", 0))
        except (ValueError, TypeError, AttributeError):
            return None
        if answer.get("access_token"):
            self._token, self._until = str(answer["access_token"]), time.monotonic() + _LASTS
        if not code:
            return None
        if code in _EXPIRED:
            self._until = 0.0
        return Outcome(
            False, code in (*_EXPIRED, *_LATER), f"WeChat refused it: {code} {answer.get('errmsg', '')}"
        )
