"""/api/v1/metadata and /targets/metadata: type, help and unit of the families of metrics.

What a scraped target says of itself comes first. Metrics that were pushed have a type only; where Fleetowl
declares them itself, the agent's among them, their help text is known too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from aiohttp import web

from agent import main as agent
from agent.registry import discover
from analyzer.api.bodies import Answered
from analyzer.api.errors import Handler
from analyzer.api.parameters import parameters, selector
from analyzer.api.turns import Turn, Turns
from analyzer.catalogue import METRICS
from analyzer.formats import encode
from telemetry.ingest import TargetIngest
from telemetry.matching import predicate
from telemetry.scrape import ScrapeTarget
from telemetry.window import Window
from wire.metadata import FamilyMetadata, families_of

Sources = Callable[[], list[tuple[ScrapeTarget, TargetIngest]]]
_SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


class MetadataApi:
    """Answers from what the targets said last. `sources` lists the scraped ones."""

    def __init__(self, window: Callable[[], Window], sources: Sources, turns: Turns) -> None:
        self._window = window
        self._sources = sources
        self._turns = turns

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/api/v1/metadata", self.metadata
        yield "GET", "/api/v1/targets/metadata", self.of_targets

    async def metadata(self, request: web.Request) -> web.Response:
        """By family the different things that are said about it; `metric`, `limit`, `limit_per_metric`."""
        asked = await parameters(request)
        limit, each, only = asked.number("limit"), asked.number("limit_per_metric"), asked.text("metric")
        async with self._turns.take(request) as turn:
            found = await self._merged(turn)
            names = [only] if only in found else [] if only else sorted(found)[: limit or None]
            body = Answered(turn)
            body.add("{")
            await body.add_all((_said(name, found[name], each) for name in names), ",")
            body.add("}")
        body.close()
        return await body.sent(request)

    async def of_targets(self, request: web.Request) -> web.Response:
        """Of each scraped target what it says; `match_target`, `metric`, and `limit` targets."""
        asked = await parameters(request)
        limit, only = asked.number("limit"), asked.text("metric")
        matchers = selector(asked.text("match_target"), "match_target") if asked.text("match_target") else ()
        async with self._turns.take(request) as turn:
            chosen = [
                (target.labels, ingest)
                for target, ingest in self._sources()
                if all(predicate(one)(target.labels.value(one.name)) for one in matchers)
            ]
            body = Answered(turn)
            await body.add_list(
                encode({"target": dict(labels), **({} if only else {"metric": name}), **family._asdict()})
                for labels, ingest in chosen[: limit or None]
                for name, family in families_of(ingest.comments).items()
                if only in ("", name)
            )
        body.close()
        return await body.sent(request)

    async def _merged(self, turn: Turn) -> dict[str, set[FamilyMetadata]]:
        found: dict[str, set[FamilyMetadata]] = {}
        known: set[frozenset[bytes]] = set()  # targets of one kind say the same
        for _, ingest in self._sources():
            comments = ingest.comments
            if comments not in known:
                known.add(comments)
                for name, family in families_of(comments).items():
                    found.setdefault(name, set()).add(family)
            await turn.rest()
        for name, family in pushed_families(self._window().types(), found):
            found.setdefault(name, set()).add(family)
        return found


def _said(name: str, families: set[FamilyMetadata], most: int) -> str:
    return f"{encode(name)}:{encode([family._asdict() for family in sorted(families)[: most or None]])}"


def pushed_families(
    types: Mapping[str, str], scraped: Mapping[str, object]
) -> Iterator[tuple[str, FamilyMetadata]]:
    """The families that no scraped target tells of, from the types of their series."""
    for name, kind in types.items():
        family = family_of(name, kind)
        if family not in scraped and name not in scraped:
            yield family, declared().get(family, FamilyMetadata(kind))


def family_of(name: str, kind: str) -> str:
    """The family that a series of this name and type belongs to.

    >>> family_of("x_seconds_bucket", "histogram"), family_of("x_count", "gauge")
    ('x_seconds', 'x_count')
    """
    for suffix in _SUFFIXES.get(kind, ()):
        if name.endswith(suffix):
            return name.removesuffix(suffix)
    return name


@lru_cache(maxsize=1)
def declared() -> Mapping[str, FamilyMetadata]:
    """What Fleetowl says of the metrics that it makes itself, here and in its agents."""
    collected = (metric for collector in discover().values() for metric in collector.metrics)
    metrics = (*collected, *agent.METRICS, *METRICS)
    return {metric.name: FamilyMetadata(metric.type, metric.help) for metric in metrics}
