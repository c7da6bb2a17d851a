"""/api/v1/explain/..., and the recorded alerts as a history for a simulation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from analyzer.api.bodies import Body
from analyzer.api.errors import ApiError, Handler, bad_parameter
from analyzer.api.parameters import parameters
from analyzer.api.turns import Turns
from analyzer.explain.explainer import Explainer
from analyzer.explain.history import history_lines
from analyzer.formats import success
from analyzer.pipeline import Pipeline
from store.errors import StoreUnavailable


class ExplainApi:
    """Answers from the pipeline and from what is remembered. `now` reads the clock (ms)."""

    def __init__(self, pipeline: Callable[[], Pipeline], now: Callable[[], int], turns: Turns) -> None:
        self._pipeline = pipeline
        self._now = now
        self._turns = turns

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        for path, handler in (
            ("/api/v1/explain/alert/{asked:.+}", self.alert),
            ("/api/v1/explain/notification/{key}", self.notification),
            ("/api/v1/explain/incident/{id}", self.incident),
            ("/api/v1/alerts/history", self.history),
        ):
            yield "GET", path, _while_stored(handler)

    async def alert(self, request: web.Request) -> web.Response:
        """The alerts of a fingerprint, of a name, or of matchers."""
        asked = request.match_info["asked"]
        try:
            found = self._explainer().alert(asked)
        except ValueError as error:
            raise bad_parameter("alert", str(error)) from error
        return _answer(found, f"no alert that is active or remembered is {asked}")

    async def notification(self, request: web.Request) -> web.Response:
        """One notification by its dedup key."""
        key = request.match_info["key"]
        return _answer(self._explainer().notification(key), f"no notification has the dedup key {key}")

    async def incident(self, request: web.Request) -> web.Response:
        """One incident with the verdict of each of its alerts."""
        name = request.match_info["id"]
        return _answer(self._explainer().incident(name), f"there is no incident {name}")

    async def history(self, request: web.Request) -> web.Response:
        """The alerts that began and ended since `start`, as JSON lines for `alerts simulate`."""
        since = (await parameters(request)).moment("start", 0)
        async with self._turns.take(request) as turn:
            body = Body(turn)
            await body.add_all(f"{line}\n" for line in history_lines(self._pipeline(), since))
        return await body.sent(request, "application/x-ndjson")

    def _explainer(self) -> Explainer:
        return Explainer(self._pipeline(), self._now())


def _while_stored(handler: Handler) -> Handler:
    """503 while the state database does not answer: what is remembered is there again later."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except StoreUnavailable as error:
            raise ApiError(503, "unavailable", str(error)) from error

    return handle


def _answer(found: dict[str, Any] | None, missing: str) -> web.Response:
    if found is None:
        raise ApiError(404, "not_found", missing)
    return success(found)
