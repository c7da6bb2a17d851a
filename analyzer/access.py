"""Who may do what over HTTP: reads are free, whatever changes something needs the bearer token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

READS = frozenset(
    f"/api/v1/{name}"
    for name in ("query", "query_range", "query_exemplars", "format_query", "series", "labels")
)
"""Paths that Prometheus' clients also call with POST, and that only read."""

SIGNED = "/ack/{id}"
"""The route of the links that people get: each carries a signature of its own, which its handler checks."""

INTAKE = ("/api/v1/write", "/api/v1/frames", "/api/v2/alerts")
"""Paths that take samples and alerts in, the last one also behind a prefix: what overload can hit."""


def answer(status: int, error_type: str, error: str, **headers: str) -> web.Response:
    """An error in the shape of Prometheus' API."""
    body = {"status": "error", "errorType": error_type, "error": error}
    return web.json_response(
        body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )


def answer_to(request: web.Request, status: int, error_type: str, error: str, **headers: str) -> web.Response:
    """An error in the shape of the API that was asked; Alertmanager's is a JSON string."""
    response = answer(status, error_type, error, **headers)
    if "/api/v2/" in request.path:
        response.text = json.dumps(error)
    return response


def changes_something(request: web.Request) -> bool:
    """Whether a request needs the token."""
    resource = request.match_info.route.resource
    if resource is not None and resource.canonical == SIGNED:
        return False
    return request.method not in ("GET", "HEAD", "OPTIONS") and request.path not in READS


def require_token(
    read_token: Callable[[], str | None],
) -> Middleware:
    """Middleware: 401 for a changing request without the right token, where one is set."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        token = read_token()
        if token is None or not changes_something(request):
            return await handler(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        sent = given.strip().encode("utf-8", "surrogateescape")  # a header may hold any bytes
        if scheme.lower() == "bearer" and hmac.compare_digest(sent, token.encode()):
            return await handler(request)
        return answer_to(
            request,
            401,
            "unauthorized",
            f"this needs the analyzer's token, and {'another' if sent else 'none'} was sent: send "
            "Authorization: Bearer TOKEN, or name its file by --token-file",
            WWW_Authenticate="Bearer",
        )

    return check


@web.middleware
async def readable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware: 400 for a body that is not encoded as its header says."""
    try:
        return await handler(request)
    except web.RequestPayloadError as error:
        why = " ".join(str(error).split())
        response = answer_to(request, 400, "bad_data", f"the body cannot be read: {why}")
        response.force_close()  # where the next request begins is not known
        return response


class Overload:
    """Middleware that answers 429 when too many writes are under way at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._pending = 0
        self.refused = 0

    def middleware(self) -> Middleware:
        """The aiohttp middleware."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.method != "POST" or not request.path.endswith(INTAKE):
                return await handler(request)
            if self._pending >= self._most:
                self.refused += 1
                sentence = f"{self._pending} writes are under way: come back"
                return answer_to(request, 429, "overload", sentence, Retry_After="1")
            self._pending += 1
            try:
                return await handler(request)
            finally:
                self._pending -= 1

        return check
