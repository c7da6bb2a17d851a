"""Where the API stands: at /api/v2, and under the path of external_url as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler as AnyHandler

from analyzer.api.alertmanager.answers import Handler, answering

BASE = "/api/v2"
PREFIX = "/{prefix:.+}"
"""How a path under the prefix is spelled for the router; which one it is may change with a reload."""


class Part(Protocol):
    """Some of the API."""

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path below BASE, and handler of each."""


def mounted(parts: Iterable[Part]) -> list[web.RouteDef]:
    """The routes of the API."""
    return [
        web.route(method, BASE + path, answering(handler))
        for part in parts
        for method, path, handler in part.routes()
    ]


def under_prefix(routes: Iterable[web.RouteDef], external_url: Callable[[], str]) -> list[web.RouteDef]:
    """The same routes under the path of the external URL, as it is when a request comes."""

    def at_prefix(handler: AnyHandler) -> AnyHandler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.match_info["prefix"] != urlsplit(external_url()).path.strip("/"):
                raise web.HTTPNotFound
            return await handler(request)

        return handle

    return [
        web.route(route.method, PREFIX + route.path, at_prefix(route.handler), **route.kwargs)
        for route in routes
    ]
