"""A server that takes what integrations send, and the notifications that would do harm if they could."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from aiohttp import web

from alertmanager.notification import Notification, Outcome
from alertmanager.receivers.sender import Sender
from model.alert import Alert
from model.labels import Labels
from tests.alertmanager.night import settings_of
from tests.alertmanager.receivers.told import T0, told

NASTY = (
    "{{ .ExternalURL }} <img src=x onerror=alert(1)> <!channel> <@U123> <https://evil|click> @here "
    '[a](javascript:x) ![p](http://evil/p.png) *b* _i_ `c` ~s~ & "q"\r\nBcc: evil@example.org'
)
"""What a label could hold to come alive in one of the channels."""

EVIL = Alert(
    Labels({"alertname": NASTY, "tier": "P1", "node": NASTY}),
    {"summary": NASTY, "runbook_url": "javascript:alert(1)"},
    T0,
    generator_url="javascript:alert(1)",
    incident="INC-1",
)


class Request(NamedTuple):
    """What arrived."""

    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.raw.decode(), keep_blank_values=True))


class Catcher:
    """Keeps requests; answers what every service calls a yes."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[Request] = []
        self.answer: Callable[[], Awaitable[web.StreamResponse]] | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(
            Request(request.method, request.path_qs, dict(request.headers), await request.read())
        )
        if self.answer is not None:
            return await self.answer()
        yes = {
            "ok": True,
            "success": True,
            "errcode": 0,
            "access_token": "t0ken",
            "channel": "C1",
            "ts": "12.5",
        }
        return web.json_response(yes)

    async def told(
        self, config: dict[str, Any], what: Notification, **sections: Any
    ) -> tuple[Outcome, list[Request]]:
        """Send through an integration that is configured like this."""
        before = len(self.requests)
        sender = Sender(settings_of(receivers=[{"name": "team", **config}], **sections))
        try:
            outcome = await sender.send(what)
        finally:
            await sender.close()
        return outcome, self.requests[before:]


def evil(integration: str) -> Notification:
    """A notification of which every value is hostile."""
    return told(
        [EVIL], integration, group_labels=Labels({"alertname": NASTY}), group_key='{}:{alertname="x"}'
    )
