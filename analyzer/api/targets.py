"""/api/v1/targets: what is scraped, what pushes, and what relabelling drops."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aiohttp import web

from analyzer.api.bodies import Answered
from analyzer.api.errors import Handler
from analyzer.api.parameters import parameters
from analyzer.api.turns import Turns
from analyzer.formats import encode, format_when
from analyzer.pipeline import Pipeline
from analyzer.scraper import TargetHealth
from model.labels import Labels
from model.moment import SECOND, format_duration
from telemetry.frame_ingest import JOB as AGENT_JOB
from telemetry.frame_ingest import NodeRecord, patience


class TargetsApi:
    """Answers from the last scrapes and frames. `now` reads the clock (ms).

    `health` lists the scraped targets, `dropped` job and discovered labels of what relabelling drops.
    """

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        health: Callable[[], Iterable[TargetHealth]],
        dropped: Callable[[], Iterable[tuple[str, Labels]]],
        now: Callable[[], int],
        turns: Turns,
    ) -> None:
        self._pipeline = pipeline
        self._health = health
        self._dropped = dropped
        self._now = now
        self._turns = turns

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/api/v1/targets", self.targets

    async def targets(self, request: web.Request) -> web.Response:
        """Targets in the `state` active, dropped or any, of one `scrapePool` or of all."""
        asked = await parameters(request)
        state, pool = asked.text("state").lower(), asked.text("scrapePool")
        async with self._turns.take(request) as turn:
            body = Answered(turn)
            body.add('{"activeTargets":')
            shown = state in ("", "any", "active")
            await body.add_list(map(encode, self._active(pool)) if shown else ())
            body.add(',"droppedTargets":')
            shown = state in ("", "any", "dropped")
            out = [(job, labels) for job, labels in self._dropped() if pool in ("", job)] if shown else []
            await body.add_list(encode({"discoveredLabels": dict(labels)}) for _, labels in out)
            body.add(f',"droppedTargetCounts":{encode(Counter(job for job, _ in out))}}}')
        body.close()
        return await body.sent(request)

    def _active(self, pool: str) -> Iterator[dict[str, Any]]:
        for health in list(self._health()):
            if pool in ("", health.target.job):
                yield _scraped(health)
        if pool in ("", AGENT_JOB):
            for record in self._pipeline().frames.inventory():
                yield _pushed(record, self._now())


def _scraped(health: TargetHealth) -> dict[str, Any]:
    state = "unknown" if health.up is None else "up" if health.up else "down"
    return {
        "discoveredLabels": dict(health.target.discovered),
        "labels": dict(health.target.labels),
        "scrapePool": health.target.job,
        "scrapeUrl": health.target.url,
        "globalUrl": health.target.url,
        "lastError": health.error,
        "lastScrape": format_when(health.scraped_at),
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
        "lastScrape": format_when(record.last_seen),
        "lastScrapeDuration": 0.0,
        "health": "up" if up else "down",
        "scrapeInterval": format_duration(record.interval),
        "scrapeTimeout": "",
    }
