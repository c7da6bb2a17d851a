"""The parts of the read API, put together."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from analyzer.api.acknowledge import AcknowledgeApi
from analyzer.api.errors import answering
from analyzer.api.explain import ExplainApi
from analyzer.api.federation import Federation
from analyzer.api.feedback import FeedbackApi
from analyzer.api.metadata import MetadataApi
from analyzer.api.own import OwnApi
from analyzer.api.queries import Queries
from analyzer.api.reach import Reach
from analyzer.api.rules import RulesApi
from analyzer.api.series import SeriesApi
from analyzer.api.status import StatusApi
from analyzer.api.targets import TargetsApi
from analyzer.api.turns import Turns
from analyzer.pipeline import Pipeline
from analyzer.scraper import Scraper
from telemetry.window import Window


class Api:
    """Reads the pipeline and the scraper as they are. `now` reads the clock (ms), `version` is our own."""

    def __init__(
        self,
        pipeline: Callable[[], Pipeline],
        scraper: Scraper,
        now: Callable[[], int],
        version: str,
        turns: Turns | None = None,
    ) -> None:
        turns = turns or Turns()

        def window() -> Window:
            return pipeline().window

        reach = Reach(window, now)
        self._parts = (
            Queries(pipeline, now, turns, reach),
            SeriesApi(window, turns, reach),
            MetadataApi(window, scraper.sources, turns),
            TargetsApi(pipeline, scraper.health, scraper.dropped, now, turns),
            RulesApi(pipeline, turns),
            StatusApi(version),
            Federation(pipeline, now, turns),
            OwnApi(pipeline, turns),
            AcknowledgeApi(pipeline, now),
            FeedbackApi(pipeline, now),
            ExplainApi(pipeline, now, turns),
        )

    def routes(self) -> list[web.RouteDef]:
        """What to mount."""
        return [
            (
                web.get(path, answering(handler))
                if method == "GET"
                else web.route(method, path, answering(handler))
            )
            for part in self._parts
            for method, path, handler in part.routes()
        ]
