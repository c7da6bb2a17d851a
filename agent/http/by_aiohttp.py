"""What the lean client leaves out, by aiohttp: https, redirects, odd URLs.

To import this takes 11 to 14 MB, so only those who need it do, when they need it. None of aiohttp's own
errors leaves this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

import aiohttp

from agent.http.answer import Answer, TooLarge
from agent.http.tls import TLS

_CHUNK = 256 * 1024


def new_session() -> aiohttp.ClientSession:
    """One for all of the agent's requests; their timeouts are the callers'."""
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, timeout=aiohttp.ClientTimeout()
    )


async def get(
    session: aiohttp.ClientSession,
    url: str,
    headers: Mapping[str, str],
    tls: TLS,
    limit: int,
    follow: bool,
) -> Answer:
    """The answer to a GET. Raises OSError, TooLarge, and ValueError for what is no URL."""
    with _plain_errors():
        async with session.get(
            url,
            headers=headers,
            ssl=tls.context(),
            server_hostname=tls.server_hostname,
            allow_redirects=follow,
        ) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_chunked(_CHUNK):
                body += chunk
                if len(body) > limit:
                    raise TooLarge(f"its answer is larger than {limit} bytes")
            return _answer(answer, bytes(body))


async def post(
    session: aiohttp.ClientSession,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    tls: TLS,
    limit: int,
) -> Answer:
    """The answer to a POST, its body cut off at `limit` bytes. Raises OSError and ValueError."""
    with _plain_errors():
        async with session.post(
            url,
            data=body,
            headers=headers,
            ssl=tls.context(),
            server_hostname=tls.server_hostname,
            allow_redirects=False,
        ) as answer:
            return _answer(answer, await answer.content.read(limit))


def _answer(answer: aiohttp.ClientResponse, body: bytes) -> Answer:
    headers = {name.lower(): value for name, value in answer.headers.items()}
    return Answer(answer.status, headers, body, answer.reason or "")


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        raise error.os_error from error
    except aiohttp.ClientError as error:
        if isinstance(error, (OSError, ValueError)):
            raise
        raise ConnectionError(str(error) or type(error).__name__) from error
