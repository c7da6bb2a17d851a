"""HTTP to an analyzer: one request with frames, and its answer in a few words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import aiohttp

from agent.client import TLS, why
from agent.push import Answer
from agent.settings import PushSettings
from model.settings import read_secret
from wire.frames import BOOT, CONTENT_TYPE, WINDOW_END
from wire.scrape import HTTPClientSettings

_PATH = "/api/v1/frames"
_KINDS = {
    400: "malformed",
    401: "unauthorized",
    403: "unauthorized",
    409: "schema",
    413: "too_large",
    429: "overload",
}
_SAID_BYTES = 300  # of an error page that are worth a line in the log


class HttpPost:
    """Posts frames to one analyzer. The token is read for each request: its file may rotate.

    `clock` gives seconds since the epoch, for a Retry-After that names a date.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        url: str,
        settings: PushSettings,
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._url = url.rstrip("/") + _PATH
        self._settings = settings
        self._clock = clock
        self._tls = TLS(HTTPClientSettings(tls_config=settings.tls_config), url)

    async def __call__(self, body: bytes) -> Answer:
        """What the analyzer answered; a failure to reach it is an answer with status 0."""
        try:
            token = read_secret(self._settings.token, self._settings.token_file)
        except OSError as error:
            return Answer(0, "token", f"the token cannot be read: {error}")
        headers = {"Content-Type": CONTENT_TYPE}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with asyncio.timeout(self._settings.timeout / 1000):
                return await self._post(body, headers)
        except TimeoutError:
            return Answer(0, "timeout", f"no answer within {self._settings.timeout} ms")
        except (aiohttp.ClientError, OSError) as error:
            return Answer(0, "connection", why(error))

    async def _post(self, body: bytes, headers: dict[str, str]) -> Answer:
        async with self._session.post(
            self._url,
            data=body,
            headers=headers,
            ssl=self._tls.context(),
            server_hostname=self._tls.server_hostname,
            allow_redirects=False,
        ) as answer:
            said = await answer.content.read(_SAID_BYTES)
            if answer.status == 200:
                end = answer.headers.get(WINDOW_END, "")
                window_end = int(end) if end.isdecimal() and len(end) < 16 else 0
                return Answer(200, boot=answer.headers.get(BOOT, ""), window_end=window_end)
            text = f"it answered {answer.status}: {said.decode(errors='replace').strip() or answer.reason}"
            kind = _KINDS.get(answer.status, "status")
            return Answer(answer.status, kind, text, self._retry_after(answer.headers.get("Retry-After")))

    def _retry_after(self, header: str | None) -> float | None:
        """Seconds, from a number of them or from a date (RFC 9110, section 10.2.3)."""
        if header is None:
            return None
        if header.strip().isdigit():
            return float(header)
        try:
            return max(0.0, parsedate_to_datetime(header).timestamp() - self._clock())
        except ValueError:
            return None
