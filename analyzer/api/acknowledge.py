"""Who has an incident, and who is on duty: by the API (with the token) and by signed links (without)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from aiohttp import web

from analyzer.access import SIGNED
from analyzer.api.acknowledge_page import page
from analyzer.api.errors import ApiError, Handler
from analyzer.formats import success
from analyzer.pipeline import Pipeline
from incidents.people.acknowledgement import readable_name
from model.decision import Decision

LARGEST_BODY = 4096


class AcknowledgeApi:
    """An answer is on disk before it is confirmed. `now` reads the clock (ms)."""

    def __init__(self, pipeline: Callable[[], Pipeline], now: Callable[[], int]) -> None:
        self._pipeline = pipeline
        self._now = now

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "POST", "/api/v1/incidents/{id}/ack", self.acknowledge
        yield "POST", "/api/v1/incidents/{id}/unack", self.unacknowledge
        yield "GET", "/api/v1/oncall", self.on_call
        yield "GET", SIGNED, self.show
        yield "POST", SIGNED, self.press

    async def acknowledge(self, request: web.Request) -> web.Response:
        """The incident is theirs: `who` as a parameter or in a JSON body, `how` if it is not the API."""
        given = await _given(request)
        incidents, name = self._pipeline().incidents, self._known(request)
        how = readable_name(given.get("how", "")) or "the API"
        return self._kept(incidents.acknowledge(name, given.get("who", ""), self._now(), how))

    async def unacknowledge(self, request: web.Request) -> web.Response:
        """The incident is nobody's again."""
        given = await _given(request)
        incidents, name = self._pipeline().incidents, self._known(request)
        return self._kept(
            incidents.unacknowledge(name, given.get("who", ""), self._now(), given.get("why", "")[:500])
        )

    async def on_call(self, request: web.Request) -> web.Response:
        """Who is on duty now and next, by schedule."""
        return success({"schedules": self._pipeline().alerting.people.duties(self._now())})

    async def show(self, request: web.Request) -> web.Response:
        """The page behind a link, with a button: a GET acknowledges nothing."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        incidents = self._pipeline().incidents
        incident = incidents.get(incidents.final(request.match_info["id"]))
        if incident is None:
            return page("Not known", "This incident is not remembered any more.", status=404)
        if not incident.open:
            return page(incident.id, "It is over: there is nothing to acknowledge.", incident)
        who = request.query["who"]
        if incident.acknowledged_by == who:
            return page(incident.id, "You have it already.", incident)
        return page(incident.id, "Press the button to say that you look after it.", incident, who)

    async def press(self, request: web.Request) -> web.Response:
        """The button was pressed."""
        refused = self._refused(request)
        if refused is not None:
            return refused
        pipeline, name, who = self._pipeline(), request.match_info["id"], request.query["who"]
        incident = pipeline.incidents.get(pipeline.incidents.final(name))
        decision = pipeline.incidents.acknowledge(name, who, self._now(), "a link")
        if incident is None:
            return page("Not known", "This incident is not remembered any more.", status=404)
        pipeline.keep()
        if decision and not pipeline.kept:
            return page(name, "It could not be written down: try again soon.", incident, who, status=503)
        return page(name, f"{decision.why}.", incident, status=200 if decision else 409)

    def _refused(self, request: web.Request) -> web.Response | None:
        """The answer to a link that is not good; None for a good one."""
        until, who, signature = (request.query.get(name, "") for name in ("until", "who", "sig"))
        decision = self._pipeline().links.check(request.match_info["id"], until, who, signature, self._now())
        return None if decision else page("Not allowed", f"{decision.why.capitalize()}.", status=403)

    def _known(self, request: web.Request) -> str:
        name = request.match_info["id"]
        if self._pipeline().incidents.get(name) is None:
            raise ApiError(404, "not_found", f"there is no incident {name}")
        return name

    def _kept(self, decision: Decision) -> web.Response:
        if not decision:
            status = 400 if "say who" in decision.why else 409
            raise ApiError(status, "bad_data" if status == 400 else "conflict", decision.why)
        pipeline = self._pipeline()
        pipeline.keep()
        if not pipeline.kept:
            raise ApiError(503, "unavailable", f"{decision.why}, but {pipeline.kept.why}")
        return success(decision.why)


async def _given(request: web.Request) -> dict[str, str]:
    """Parameters, and over them a JSON object of texts."""
    given = dict(request.query)
    body = await request.content.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise ApiError(413, "bad_data", f"the body is larger than {LARGEST_BODY} bytes")
    if body.strip():
        try:
            found = json.loads(body)
        except ValueError as error:
            raise ApiError(400, "bad_data", f"the body is not JSON: {error}") from error
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise ApiError(400, "bad_data", 'the body must be an object of texts, as {"who": "ada"}')
        given |= found
    return given
