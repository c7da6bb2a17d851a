"""What the read API refuses, in Prometheus' words."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from aiohttp import web

from analyzer.access import answer
from telemetry.matching import InvalidMatcher

log = logging.getLogger("fleetowl.analyzer")

Handler = Callable[[web.Request], Awaitable[web.Response]]


class ApiError(Exception):
    """An error answer: the HTTP status, Prometheus' errorType, and the sentence."""

    def __init__(self, status: int, error_type: str, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error_type = error_type


def bad_parameter(name: str, why: str) -> ApiError:
    """400 for a parameter that is not what it must be."""
    return ApiError(400, "bad_data", f'invalid parameter "{name}": {why}')


def answering(handler: Handler) -> Handler:
    """The handler with its errors turned into answers; a defect is 500 with the reason, and logged."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except ApiError as error:
            return answer(error.status, error.error_type, str(error))
        except InvalidMatcher as error:
            return answer(400, "bad_data", str(error))
        except web.HTTPException:
            raise
        except Exception as error:  # the supervisor's boundary: one query's defect is that query's answer
            log.exception("%s failed", request.path)
            return answer(500, "internal", f"a defect: {type(error).__name__}: {error}")

    return handle
