"""One GET of a local engine's page: the lean way where that does, else by aiohttp; failures in a word."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping

from agent.http.answer import Answer, MalformedAnswer, TooLarge
from agent.http.plain import PlainClient
from agent.http.session import SessionOf
from agent.http.tls import TLS, why
from wire.scrape import HTTPClientSettings

_REDIRECTS = (301, 302, 303, 307, 308)


class FetchFailed(Exception):
    """Nothing came. `kind` is a word for a metric's label, the text is for people."""

    def __init__(self, kind: str, why: str, refused: bool = False) -> None:
        super().__init__(why)
        self.kind = kind
        self.refused = refused
        """Whether nobody listens there."""


class Fetcher:
    """GETs of one URL. With `keep` the connection is kept from one to the next."""

    def __init__(self, url: str, settings: HTTPClientSettings, session: SessionOf, keep: bool = True) -> None:
        self._url = url
        self._settings = settings
        self._session = session
        self._keep = keep
        self._plain = PlainClient(url) if PlainClient.can(url) else None
        self._tls = TLS(settings, url)

    async def get(self, headers: Mapping[str, str], limit: int, timeout: int) -> Answer:
        """The answer, whatever its status, with a body of at most `limit` bytes within `timeout` ms.

        Raises FetchFailed: connection, timeout, malformed (it does not speak HTTP) or too_large.
        """
        try:
            async with asyncio.timeout(timeout / 1000):
                return await self._get({**headers, **self._settings.request_headers()}, limit)
        except TimeoutError as error:
            raise FetchFailed("timeout", f"no answer within {timeout} ms") from error
        except TooLarge as error:
            raise FetchFailed("too_large", str(error)) from error
        except MalformedAnswer as error:
            raise FetchFailed("malformed", f"it is no HTTP server: {error}") from error
        # OSError: refused, reset, or a file of credentials that cannot be read. ValueError: an engine may
        # redirect to what is no host name at all.
        except (OSError, ValueError) as error:
            refused = _is_refused(error)
            raise FetchFailed(
                "connection", os.strerror(errno.ECONNREFUSED) if refused else why(error), refused
            ) from error

    def close(self) -> None:
        """End the kept connection."""
        if self._plain is not None:
            self._plain.close()

    async def _get(self, headers: Mapping[str, str], limit: int) -> Answer:
        if self._plain is None:
            return await self._get_by_aiohttp(headers, limit)
        answer = await self._plain.get(headers, limit, self._keep)
        if answer.status not in _REDIRECTS or not self._settings.follow_redirects:
            return answer
        self._plain.close()
        self._plain = None
        return await self._get_by_aiohttp(headers, limit)

    async def _get_by_aiohttp(self, headers: Mapping[str, str], limit: int) -> Answer:
        from agent.http import by_aiohttp

        follow = self._settings.follow_redirects
        return await by_aiohttp.get(self._session(), self._url, headers, self._tls, limit, follow)


def _is_refused(error: Exception) -> bool:
    """A name with several addresses fails without an errno of its own, each address in the text."""
    return isinstance(error, OSError) and (
        error.errno == errno.ECONNREFUSED or f"[Errno {errno.ECONNREFUSED}]" in str(error)
    )
