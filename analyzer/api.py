"""The read side over HTTP: Prometheus' API where Prometheus has one, Fleetowl's own for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web

from analyzer.access import answer
from analyzer.formats import format_sample, format_series, format_value, parameters, success
from analyzer.pipeline import Pipeline
from analyzer.scraper import TargetHealth
from model.moment import SECOND, format_duration, format_moment, parse_moment
from rules.promql.answer import Answer, Matrix, Vector
from rules.promql.errors import EvaluationError, PromQLError
from rules.promql.expression import parse
from telemetry.frame_ingest import JOB as AGENT_JOB
from telemetry.frame_ingest import NodeRecord, patience


class Api:
    """Answers from the pipeline as it is now. `health` lists the scraped targets."""

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        health: Callable[[], Iterable[TargetHealth]],
        now: Callable[[], int],
    ) -> None:
        self._pipeline = pipeline
        self._health = health
        self._now = now

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [
            web.get("/api/v1/query", self.query),
            web.post("/api/v1/query", self.query),
            web.get("/api/v1/targets", self.targets),
            web.get("/api/v1/alerts", self.alerts),
            web.get("/api/v1/incidents", self.incidents),
            web.get("/api/v1/incidents/{id}", self.incident),
            web.get("/api/v1/runbooks", self.runbooks),
        ]

    async def query(self, request: web.Request) -> web.Response:
        """An instant query at `time` (now unless given)."""
        asked = await parameters(request)
        text = asked.get("query", "")
        try:
            at = parse_moment(asked["time"]) if "time" in asked else self._now()
            expression = parse(text)
        except (PromQLError, ValueError) as error:
            return answer(400, "bad_data", str(error))
        self._pipeline().demand_for(expression)
        try:
            result = self._pipeline().evaluate(expression, at)
        except EvaluationError as error:
            return answer(422, "execution", str(error))
        return success(_as_result(result, at), self._warnings(at))

    def _warnings(self, at: int) -> list[str]:
        window = self._pipeline().window
        oldest = self._now() - window.retention
        if at < oldest:
            return [f"the window begins at {format_moment(oldest)}; what is older is not there"]
        return []

    async def targets(self, request: web.Request) -> web.Response:
        """Scraped and pushed targets."""
        active = [_scraped(health) for health in self._health()]
        active += [_pushed(record, self._now()) for record in self._pipeline().frames.inventory()]
        return success({"activeTargets": active, "droppedTargets": []})

    async def alerts(self, request: web.Request) -> web.Response:
        """Pending and firing alerts."""
        found = [
            {
                "labels": dict(one.labels),
                "annotations": dict(one.annotations),
                "state": one.state,
                "activeAt": format_moment(one.active_at),
                "value": format_value(one.value),
            }
            for one in self._pipeline().rules.active()
        ]
        return success({"alerts": found})

    async def incidents(self, request: web.Request) -> web.Response:
        """Open incidents; with state=all also those that are over."""
        everything = request.query.get("state") == "all"
        return success({"incidents": self._pipeline().incidents.documents(everything)})

    async def incident(self, request: web.Request) -> web.Response:
        """One incident with its timeline and its story."""
        name = request.match_info["id"]
        found = self._pipeline().incidents.describe(name)
        if found is None:
            return answer(404, "not_found", f"there is no incident {name}")
        return success(found)

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


def _as_result(result: Answer, at: int) -> dict[str, Any]:
    if isinstance(result, Vector):
        pairs = zip(result.labels, result.values.tolist(), strict=True)
        return {
            "resultType": "vector",
            "result": [format_sample(labels, at, value) for labels, value in pairs],
        }
    if isinstance(result, Matrix):
        return {"resultType": "matrix", "result": [format_series(*one) for one in result.series()]}
    if isinstance(result, str):
        return {"resultType": "string", "result": [at / 1000, result]}
    return {"resultType": "scalar", "result": [at / 1000, format_value(result.value)]}


def _scraped(health: TargetHealth) -> dict[str, Any]:
    state = "unknown" if health.up is None else "up" if health.up else "down"
    return {
        "discoveredLabels": dict(health.target.discovered),
        "labels": dict(health.target.labels),
        "scrapePool": health.target.job,
        "scrapeUrl": health.target.url,
        "globalUrl": health.target.url,
        "lastError": health.error,
        "lastScrape": format_moment(health.scraped_at),
        "lastScrapeDuration": health.duration,
        "health": state,
        "scrapeInterval": format_duration(health.target.interval),
        "scrapeTimeout": format_duration(health.target.timeout),
    }


def _pushed(record: NodeRecord, now: int) -> dict[str, Any]:
    """An agent that pushes: there is no URL, and its last frame stands for the scrape."""
    silence = now - record.last_seen
    up = silence <= patience(record.interval)
    return {
        "discoveredLabels": {},
        "labels": {"job": AGENT_JOB, "instance": record.node, "node": record.node},
        "scrapePool": AGENT_JOB,
        "scrapeUrl": "",
        "globalUrl": "",
        "lastError": "" if up else f"no frame for {silence / SECOND:.1f} s",
        "lastScrape": format_moment(record.last_seen),
        "lastScrapeDuration": 0.0,
        "health": "up" if up else "down",
        "scrapeInterval": format_duration(record.interval),
        "scrapeTimeout": "",
    }
