"""Answers as Alertmanager gives them: plain JSON, and an error is a JSON string."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from analyzer.api.errors import ApiError

log = logging.getLogger("fleetowl.analyzer")

Handler = Callable[[web.Request], Awaitable[web.Response]]

JSON = "application/json"


class Refused(Exception):
    """An error answer: the HTTP status and the sentence; `retry_after` in seconds."""

    def __init__(self, status: int, sentence: str, retry_after: int = 0) -> None:
        super().__init__(sentence)
        self.status = status
        self.retry_after = retry_after


def found(data: Any) -> web.Response:
    """200 with this."""
    return web.Response(body=msgspec.json.encode(data), content_type=JSON)


def answering(handler: Handler) -> Handler:
    """The handler with its errors turned into answers; a defect is 500 with the reason, and logged."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except Refused as error:
            return refusal(error.status, str(error), error.retry_after)
        except ApiError as error:
            return refusal(error.status, str(error))
        except (web.HTTPException, web.RequestPayloadError):
            raise
        except Exception as error:  # the supervisor's boundary: one request's defect is that request's answer
            log.exception("%s failed", request.path)
            return refusal(500, f"a defect: {type(error).__name__}: {error}")

    return handle


def refusal(status: int, sentence: str, retry_after: int = 0) -> web.Response:
    """An error answer."""
    headers = {"Retry-After": str(retry_after)} if retry_after else {}
    return web.Response(status=status, body=msgspec.json.encode(sentence), content_type=JSON, headers=headers)
