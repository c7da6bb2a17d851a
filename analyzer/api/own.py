"""Fleetowl's own part of the read API: incidents, the agents' events and runbooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

from aiohttp import web

from analyzer.api.bodies import Answered
from analyzer.api.errors import ApiError, Handler
from analyzer.api.parameters import parameters
from analyzer.api.turns import Turns
from analyzer.formats import encode, success
from analyzer.pipeline import Pipeline
from incidents.incident import readable
from telemetry.event_log import MOST

MOST_INCIDENTS = 1000
"""So many are listed unless `limit` asks for more or less."""


class OwnApi:
    """Answers from the pipeline as it is now."""

    def __init__(self, pipeline: Callable[[], Pipeline], turns: Turns) -> None:
        self._pipeline = pipeline
        self._turns = turns

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/api/v1/incidents", self.incidents
        yield "GET", "/api/v1/incidents/{id}", self.incident
        yield "GET", "/api/v1/events", self.events
        yield "GET", "/api/v1/runbooks", self.runbooks

    async def incidents(self, request: web.Request) -> web.Response:
        """Open incidents; with state=all also those that are over; the most urgent `limit`, of `total`."""
        asked = await parameters(request)
        limit = asked.number("limit") or MOST_INCIDENTS
        async with self._turns.take(request) as turn:
            found = self._pipeline().incidents.ordered(asked.text("state") == "all")
            body = Answered(turn)
            body.add(f'{{"total":{len(found)},"incidents":')
            await body.add_list(encode(readable(one.document())) for one in found[:limit])
            body.add("}")
            body.close()
        return await body.sent(request)

    async def incident(self, request: web.Request) -> web.Response:
        """One incident with its timeline and its story."""
        name = request.match_info["id"]
        found = self._pipeline().incidents.describe(name)
        if found is None:
            raise ApiError(404, "not_found", f"there is no incident {name}")
        return success(found)

    async def events(self, request: web.Request) -> web.Response:
        """What agents reported at once, newest first; at most `limit`, of `node` and `type` if given."""
        asked = await parameters(request)
        wanted = {name: asked.text(name) for name in ("node", "type") if asked.text(name)}
        limit = asked.number("limit") or MOST
        found = (event.document for event in self._pipeline().frames.events.newest())
        fitting = (one for one in found if all(one[name] == value for name, value in wanted.items()))
        return success({"events": list(islice(fitting, limit))})

    async def runbooks(self, request: web.Request) -> web.Response:
        """The runbooks, their modes and what they did."""
        engine, enabled = self._pipeline().runbooks, self._pipeline().settings.runbooks.enabled
        found = [
            {
                "name": one.name,
                "mode": engine.mode_of(one) if enabled else "off",
                "alerts": list(one.match.alerts),
                "summary": one.description,
            }
            for one in engine.runbooks.values()
        ]
        runs = [run.document() for run in engine.runs()]
        return success({"runbooks": found, "runs": runs, "paused": engine.paused})
