"""What people say of anomalies: noise or real, by labels, alert or incident; listed, and taken back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from aiohttp import web

from alertmanager.matching import parse_matchers
from analyzer.api.errors import ApiError, Handler
from analyzer.formats import success
from analyzer.pipeline import Pipeline
from detectors.feedback.mark import VERDICTS
from incidents.people.acknowledgement import readable_name, readable_reason
from model.decision import Decision
from model.labels import Labels, format_fingerprint
from model.matcher import Matcher
from model.settings import did_you_mean

LARGEST_BODY = 16_384
LONGEST_REASON = 500
WAYS = ("matchers", "alert", "incident")
KEYS = ("verdict", "who", "why", "dry_run", *WAYS)


class FeedbackApi:
    """An answer is on disk before it is confirmed. `now` reads the clock (ms)."""

    def __init__(self, pipeline: Callable[[], Pipeline], now: Callable[[], int]) -> None:
        self._pipeline = pipeline
        self._now = now

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/api/v1/feedback", self.show
        yield "POST", "/api/v1/feedback", self.add
        yield "DELETE", "/api/v1/feedback/{id}", self.undo
        yield "DELETE", "/api/v1/feedback/batch/{id}", self.undo_batch

    async def show(self, request: web.Request) -> web.Response:
        """What was said, the newest first, with the weight of the series; `state=all` for undone too."""
        state = request.query.get("state", "active")
        if state not in ("active", "all"):
            raise ApiError(400, "bad_data", f'state is "{state}": it must be active or all')
        book = self._pipeline().feedback
        marks = [
            {**mark.shown(), "weight": book.weight(mark.labels)} for mark in book.marks(undone=state == "all")
        ]
        return success({"feedback": marks})

    async def add(self, request: web.Request) -> web.Response:
        """`verdict` noise or real, of what `matchers`, an `alert` or an `incident` names; `who`, `why`."""
        given = await _given(request)
        unknown = next((name for name in given if name not in KEYS), None)
        if unknown is not None:
            hint = did_you_mean(unknown, KEYS, "keys")
            raise ApiError(400, "bad_data", f'unknown key "{unknown}": {hint}')
        verdict, who = str(given.get("verdict", "")), readable_name(str(given.get("who", "")))
        if verdict not in VERDICTS:
            raise ApiError(400, "bad_data", f'verdict is "{verdict}": it must be noise or real')
        if not who:
            raise ApiError(400, "bad_data", "say who marks it: a name of at least one letter")
        why = readable_reason(str(given.get("why", "")))[:LONGEST_REASON]
        series, book = self._meant(given), self._pipeline().feedback
        if given.get("dry_run"):
            said = f"would mark {len(series)} anomaly series as {verdict}"
            return success({"said": said, "marks": [{"labels": dict(labels)} for labels in series]})
        decision = book.marked(series, verdict, who, self._now(), why)
        self._keep(decision)
        batch = book.marks()[0].batch
        marks = [mark.shown() for mark in book.batch(batch)]
        return success({"said": decision.why, "batch": batch, "marks": marks})

    async def undo(self, request: web.Request) -> web.Response:
        """Take one mark back: `who` does so."""
        return self._undone(request, self._pipeline().feedback.undo)

    async def undo_batch(self, request: web.Request) -> web.Response:
        """Take all marks of one request back: `who` does so."""
        return self._undone(request, self._pipeline().feedback.undo_batch)

    def _undone(self, request: web.Request, undo: Callable[[int, str, int], Decision]) -> web.Response:
        who = readable_name(request.query.get("who", ""))
        if not who:
            raise ApiError(400, "bad_data", "say who takes it back: a name of at least one letter")
        asked = request.match_info["id"]
        if not (asked.isascii() and asked.isdigit() and len(asked) < 16):
            raise ApiError(404, "not_found", f"there is no feedback {asked}")
        decision = undo(int(asked), who, self._now())
        self._keep(decision)
        return success(decision.why)

    def _meant(self, given: dict[str, Any]) -> list[Labels]:
        """The anomaly series that somebody means."""
        ways = [name for name in WAYS if given.get(name)]
        if len(ways) != 1:
            raise ApiError(400, "bad_data", "name what you mean by only one of matchers, alert and incident")
        book, asked = self._pipeline().feedback, given[ways[0]]
        if ways[0] == "matchers":
            return book.find(_matchers(asked))
        alerts = self._alert(str(asked)) if ways[0] == "alert" else self._incident(str(asked))
        found = sorted({labels for alert in alerts for labels in book.behind(alert)})
        if not found:
            raise ApiError(
                404,
                "not_found",
                f"{ways[0]} {asked} names no anomaly: its labels `metric` and `detector` would say which; "
                "use matchers",
            )
        return found

    def _alert(self, asked: str) -> list[Labels]:
        pipeline = self._pipeline()
        known = {one.labels for one in pipeline.rules.active()} | {one.labels for one in pipeline.alerts}
        alerts = [labels for labels in known if format_fingerprint(labels.fingerprint) == asked.lower()]
        if not alerts:
            raise ApiError(404, "not_found", f"there is no alert {asked}: see fleetowl alerts list -o json")
        return alerts

    def _incident(self, asked: str) -> list[Labels]:
        incidents = self._pipeline().incidents
        incident = incidents.get(incidents.final(asked))
        if incident is None:
            raise ApiError(404, "not_found", f"there is no incident {asked}")
        return [member.labels for member in incident.members.values()]

    def _keep(self, decision: Decision) -> None:
        """What was decided is on disk, or an error says why not."""
        if not decision:
            missing = decision.why.startswith("there is no")
            raise ApiError(404 if missing else 409, "not_found" if missing else "conflict", decision.why)
        pipeline = self._pipeline()
        pipeline.keep()
        if not pipeline.kept:
            raise ApiError(503, "unavailable", f"{decision.why}, but {pipeline.kept.why}")


def _matchers(asked: Any) -> list[Matcher]:
    texts = asked if isinstance(asked, list) else [asked]
    try:
        found = [one for text in texts for one in parse_matchers(str(text))]
    except ValueError as error:
        raise ApiError(400, "bad_data", f"the matchers cannot be read: {error}") from error
    if not found:
        raise ApiError(400, "bad_data", "there are no matchers: not every anomaly is meant")
    return found


async def _given(request: web.Request) -> dict[str, Any]:
    body = await request.content.read(LARGEST_BODY + 1)
    if len(body) > LARGEST_BODY:
        raise ApiError(413, "bad_data", f"the body is larger than {LARGEST_BODY} bytes")
    try:
        found = json.loads(body or b"{}")
    except ValueError as error:
        raise ApiError(400, "bad_data", f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise ApiError(400, "bad_data", 'the body must be an object, as {"verdict": "noise", "who": "ada"}')
    return found
