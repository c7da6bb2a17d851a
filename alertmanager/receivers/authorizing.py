"""What stands between us and a receiver: its token (OAuth 2.0), and a proxy."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

from alertmanager.settings.http import HTTPConfig
from model.moment import SECOND
from model.settings import read_secret

Session = Callable[[], aiohttp.ClientSession]

_EARLY = 10
"""Seconds before its end at which a token is renewed."""


class Token:
    """A token by client credentials, kept until shortly before its end."""

    def __init__(self, http: HTTPConfig, timeout: int, session: Session) -> None:
        self._http = http
        self._timeout = timeout
        self._session = session
        self._token, self._until = "", 0.0

    async def get(self) -> str:
        """The token. Raises ValueError if none is given out, and what aiohttp raises."""
        oauth2 = self._http.oauth2
        if oauth2 is None or time.monotonic() < self._until:
            return self._token
        form = {
            "grant_type": "client_credentials",
            **({"scope": " ".join(oauth2.scopes)} if oauth2.scopes else {}),
            **oauth2.endpoint_params,
        }
        own = read_secret(oauth2.client_secret, oauth2.client_secret_file) or ""
        context = HTTPConfig(tls_config=oauth2.tls_config).ssl_context()
        async with self._session().post(
            oauth2.token_url,
            data=urlencode(form),
            headers={
                "Content-Type": "application/x-www-form-urlencoded",
                "Authorization": f"Basic {b64encode(f'{oauth2.client_id}:{own}'.encode()).decode()}",
            },
            timeout=aiohttp.ClientTimeout(total=self._timeout / SECOND),
            allow_redirects=False,
            ssl=context if oauth2.token_url.startswith("https:") else True,
            proxy=oauth2.proxy_url,
        ) as response:
            text = (await response.content.read(64 * 1024)).decode(errors="replace")
            if response.status != 200:
                raise ValueError(f"the token's server answered {response.status}")
        return self._taken(text)

    def _taken(self, text: str) -> str:
        try:
            answer = json.loads(text)
            self._token, lasts = str(answer["access_token"]), float(answer.get("expires_in", 60))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError("the token's server gave no access_token") from error
        self._until = time.monotonic() + max(0.0, lasts - _EARLY)
        return self._token


def proxy_of(http: HTTPConfig, url: str) -> str | None:
    """The proxy for this URL, if any."""
    host = urlsplit(url).hostname or ""
    if http.proxy_from_environment:
        return None if proxy_bypass(host) else getproxies().get(urlsplit(url).scheme)
    if http.proxy_url is None or any(_covers(each.strip(), host) for each in http.no_proxy.split(",")):
        return None
    return http.proxy_url


def _covers(name: str, host: str) -> bool:
    """Whether an entry of no_proxy names the host: itself, a domain above it, or `*`."""
    bare = name.lstrip(".")
    return name == "*" or (bare != "" and (host == bare or host.endswith(f".{bare}")))
