"""A POST and what became of it, as one sentence without secrets. Whatever a server does, it ends in time.

Redirects are not followed: a POST would arrive as a GET without its body. Of an answer that says yes
nothing is read unless somebody must look at it: it may never end.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime

import aiohttp

from alertmanager.notification import Outcome
from alertmanager.receivers.authorizing import Session, Token, proxy_of
from alertmanager.receivers.masking import masked, masked_url, secrets_in
from alertmanager.settings.http import HTTPConfig
from model.moment import DAY, SECOND

Judge = Callable[[int, str], Outcome | None]
"""Looks at status and body of an answer that says yes; None is content with it."""

LONGEST_WAIT = DAY
"""What a receiver asks for with Retry-After is believed up to here (ms)."""

_READ = 16 * 1024
"""So many bytes of an answer are read."""


class Poster:
    """Sends requests as one integration of one receiver is configured to."""

    def __init__(self, http: HTTPConfig, timeout: int, session: Session) -> None:
        self._http = http
        self._timeout = timeout
        self._session = session
        self._tls: ssl.SSLContext | None = None
        self._token = Token(http, timeout, session)

    async def post(
        self,
        url: str,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        secrets: Iterable[str] = (),
        judge: Judge | None = None,
        method: str = "POST",
    ) -> Outcome:
        """Send it and say what was answered. `secrets` are kept out of the sentence, as is the URL's path."""
        hidden = {*secrets, *secrets_in(url)}
        try:
            credentials = {**self._own_headers(), **self._http.request_headers()}
            if self._http.oauth2 is not None:
                credentials["Authorization"] = f"Bearer {await self._token.get()}"
            hidden |= {value for header in credentials.values() for value in header.split() if len(value) > 3}
            whole = {"Content-Type": "application/json", "User-Agent": "Fleetowl", **credentials}
            whole.update(headers or {})
            return await self._send(method, url, body, whole, hidden, judge)
        except TimeoutError:
            return Outcome(
                False, True, f"{masked_url(url)} did not answer within {self._timeout / SECOND:g}s"
            )
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Outcome(False, True, masked(f"{masked_url(url)}: {_why(error)}", hidden))

    async def _send(
        self,
        method: str,
        url: str,
        body: bytes,
        headers: Mapping[str, str],
        hidden: set[str],
        judge: Judge | None,
    ) -> Outcome:
        async with self._session().request(
            method,
            url,
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=self._timeout / SECOND),
            allow_redirects=False,
            ssl=self._context() if url.startswith("https:") else True,
            server_hostname=self._http.tls_config.server_name or None,
            proxy=proxy_of(self._http, url),
        ) as response:
            taken = 200 <= response.status < 300
            text = "" if taken and judge is None else await _beginning(response)
            if taken and judge is not None:
                judged = judge(response.status, text)
                if judged is not None:
                    return Outcome(judged.ok, judged.retry, masked(judged.answer, hidden))
            detail = "" if taken else _detail(response.status, text)
            answer = masked(f"{response.status} {response.reason or ''} {detail}", hidden)
            return outcome_of(response.status, answer, response.headers.get("Retry-After", ""))

    def _own_headers(self) -> dict[str, str]:
        """`http_headers`; a header with several values is sent with commas. Raises OSError."""
        return {
            name: ", ".join(
                [
                    *header.values,
                    *(value.get_secret_value() for value in header.secrets),
                    *(file.read_text().rstrip("\r\n") for file in header.files),
                ]
            )
            for name, header in self._http.http_headers.items()
        }

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = self._http.ssl_context()
        return self._tls


def outcome_of(status: int, answer: str, retry_after: str = "", now: float | None = None) -> Outcome:
    """2xx took it; 429 and 5xx may take it later; anything else is a refusal."""
    if 200 <= status < 300:
        return Outcome(True, False, answer)
    wait = waiting(retry_after, time.time() if now is None else now)
    return Outcome(False, status == 429 or status >= 500, answer, wait)


def waiting(retry_after: str, now: float) -> int:
    """The wait (ms) in a Retry-After header: seconds or an HTTP date; 0 for what is neither.

    >>> waiting("7", 0), waiting("Thu, 01 Jan 1970 00:01:00 GMT", 0), waiting("soon", 0)
    (7000, 60000, 0)
    """
    text = retry_after.strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:9]) * SECOND, LONGEST_WAIT)
    try:
        seconds = parsedate_to_datetime(text).timestamp() - now
    except (ValueError, OverflowError):
        return 0
    return min(max(0, round(seconds * SECOND)), LONGEST_WAIT)


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first part of the answer; what a server sends slowly is waited for until the timeout."""
    read = b""
    while len(read) < _READ:
        part = await response.content.read(_READ - len(read))
        if not part:
            break
        read += part
        if not 200 <= response.status < 300:
            break  # the reason stands at the beginning
    return read.decode(errors="replace")


def _detail(status: int, text: str) -> str:
    if 300 <= status < 400:
        return "(redirects are not followed)"
    return text[:1024]


def _why(error: Exception) -> str:
    """The reason in words: "Connection refused", not the names of classes and sockets."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"its certificate is not believed: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"its host is not known: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection without an answer"
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        name = f" ({error.filename})" if error.filename else ""
        known = error.errno > 0 and not isinstance(error, aiohttp.ClientConnectorSSLError)
        return (os.strerror(error.errno) if known else str(error)) + name
    return str(error) or type(error).__name__
