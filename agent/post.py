"""HTTP to an analyzer: one request with frames, and its answer in a few words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email.utils import parsedate_to_datetime

from agent.http.answer import Answer as HttpAnswer
from agent.http.answer import MalformedAnswer
from agent.http.plain import PlainClient
from agent.http.session import SessionOf
from agent.http.tls import TLS, why
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
_MOST_ANSWER = 64 * 1024  # bytes; an analyzer of ours says a line, a proxy before it a page
_SAID_BYTES = 300  # of an error page that are worth a line in the log


class HttpPost:
    """Posts frames to one analyzer. The token is read for each request: its file may rotate.

    `clock` gives seconds since the epoch, for a Retry-After that names a date.
    """

    def __init__(
        self,
        session: SessionOf,
        url: str,
        settings: PushSettings,
        clock: Callable[[], float],
    ) -> None:
        self._session = session
        self._url = url.rstrip("/") + _PATH
        self._settings = settings
        self._clock = clock
        self._plain = PlainClient(self._url) if PlainClient.can(self._url) else None
        self._tls = TLS(HTTPClientSettings(tls_config=settings.tls_config), url)

    async def __call__(self, body: bytes) -> Answer:
        """What the analyzer answered; a failure to reach it is an answer with status 0."""
        place = self._settings.token_file or "agent.push.token"
        try:
            token = read_secret(self._settings.token, self._settings.token_file)
        except (OSError, UnicodeDecodeError) as error:
            return Answer(0, "token", f"the token in {place} cannot be read: {error}")
        if token is not None and not (token.isascii() and token.isprintable()):
            return Answer(0, "token", f"the token in {place} is not one line of printable ASCII: mend it")
        headers = {"Content-Type": CONTENT_TYPE}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with asyncio.timeout(self._settings.timeout / 1000):
                return self._judged(await self._post(body, headers))
        except TimeoutError:
            return Answer(0, "timeout", f"no answer within {self._settings.timeout} ms")
        except (OSError, ValueError, MalformedAnswer) as error:
            return Answer(0, "connection", why(error))

    def close(self) -> None:
        """End the connections that are kept."""
        if self._plain is not None:
            self._plain.close()

    async def _post(self, body: bytes, headers: dict[str, str]) -> HttpAnswer:
        if self._plain is not None:
            # The frames may arrive twice: the analyzer knows them by their boot and sequence.
            return await self._plain.post(body, headers, _MOST_ANSWER)
        from agent.http import by_aiohttp

        return await by_aiohttp.post(self._session(), self._url, body, headers, self._tls, _MOST_ANSWER)

    def _judged(self, answer: HttpAnswer) -> Answer:
        if answer.status == 200:
            end = answer.headers.get(WINDOW_END.lower(), "")
            window_end = int(end) if end.isdecimal() and len(end) < 16 else 0
            return Answer(200, boot=answer.headers.get(BOOT.lower(), ""), window_end=window_end)
        said = answer.body[:_SAID_BYTES].decode(errors="replace").strip()
        text = f"it answered {answer.status}: {said or answer.reason}"
        kind = _KINDS.get(answer.status, "status")
        return Answer(answer.status, kind, text, self._retry_after(answer.headers.get("retry-after")))

    def _retry_after(self, header: str | None) -> float | None:
        """Seconds, from a number of them or from a date (RFC 9110, section 10.2.3)."""
        if header is None:
            return None
        if header.isascii() and header.strip().isdecimal():
            return float(header)
        try:
            return max(0.0, parsedate_to_datetime(header).timestamp() - self._clock())
        except (ValueError, OverflowError):
            return None
