"""/federate: the newest samples of what `match[]` selects, for another Prometheus to scrape.

Source: prometheus/prometheus web/federate.go. Each name has a `# TYPE` line; beyond Prometheus, which
writes `untyped` always, it says counter or gauge where that is known. Samples carry their time, series that
have ended or are older than the look-back are left out, the external labels are added where a series has
none of that name, and an `instance` that is missing is written as empty, so that honor_labels keeps it so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby

from aiohttp import web

from analyzer.api.bodies import Body, in_order
from analyzer.api.errors import ApiError, Handler
from analyzer.api.parameters import parameters
from analyzer.api.searching import search_all
from analyzer.api.turns import Turn, Turns
from analyzer.formats import format_value
from analyzer.pipeline import Pipeline
from model.labels import LABEL_NAME, METRIC_NAME, NAME, Labels, escape
from model.matcher import Matcher
from telemetry.bits import is_stale
from telemetry.window import Window
from wire.render import CONTENT_TYPE

Row = tuple[Labels, int, float]


class Federation:
    """Answers from the pipeline as it is now. `now` reads the clock (ms)."""

    def __init__(self, pipeline: Callable[[], Pipeline], now: Callable[[], int], turns: Turns) -> None:
        self._pipeline = pipeline
        self._now = now
        self._turns = turns

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/federate", self.federate

    async def federate(self, request: web.Request) -> web.Response:
        """Text format 0.0.4, sorted by name and labels. Errors are plain text, as Prometheus writes them."""
        asked = await parameters(request)
        pipeline = self._pipeline()
        external = pipeline.settings.analyzer.external_labels
        try:
            async with self._turns.take(request) as turn:
                lookback = pipeline.settings.rules.lookback
                rows = await newest(asked.selectors(), pipeline.window, self._now(), lookback, turn)
                body = Body(turn)
                await body.add_all(exposition(rows, external, pipeline.window.type_of))
        except ApiError as error:
            return web.Response(status=error.status, text=f"{error}\n")
        return await body.sent(request, CONTENT_TYPE)


async def newest(
    selectors: Sequence[tuple[Matcher, ...]], window: Window, now: int, lookback: int, turn: Turn
) -> list[Row]:
    """Labels, time (ms) and value of each living series that is selected, sorted by name and labels."""
    ids = await search_all(window, selectors, turn)
    times, values = window.last(ids)
    kept = (times > now - lookback) & ~is_stale(values)
    labels = [window.labels(sid) for sid in ids[kept].tolist()]
    points = dict(zip(labels, zip(times[kept].tolist(), values[kept].tolist(), strict=True), strict=True))
    by_name: dict[str, list[Labels]] = {}
    for one in labels:
        by_name.setdefault(one.name, []).append(one)
    rows: list[Row] = []
    for name in sorted(by_name):
        rows += [(one, *points[one]) for one in await in_order(by_name[name], turn)]
    return rows


def exposition(
    rows: Sequence[Row], external: Mapping[str, str], type_of: Callable[[str], str]
) -> Iterator[str]:
    """The lines of each series, a name's TYPE before its first."""
    added = {"instance": "", **external}
    for name, family in groupby(rows, key=lambda row: row[0].name):
        kind = type_of(name)
        yield f"# TYPE {_quoted(name)} {kind if kind in ('counter', 'gauge') else 'untyped'}\n"
        for labels, time, value in family:
            yield f"{_series(name, labels, added)} {format_value(value)} {time}\n"


def _series(name: str, labels: Labels, added: Mapping[str, str]) -> str:
    plain = METRIC_NAME.fullmatch(name) is not None
    pairs = [pair for pair in labels.pairs if pair[0] != NAME]
    pairs += [(key, value) for key, value in sorted(added.items()) if key not in labels]
    inside = [] if plain else [_quoted(name)]
    inside += [
        f'{key if LABEL_NAME.fullmatch(key) else _quoted(key)}="{escape(value)}"' for key, value in pairs
    ]
    return f"{name if plain else ''}{{{','.join(inside)}}}"


def _quoted(name: str) -> str:
    """A name; one outside the classic alphabet goes in quotes."""
    return name if METRIC_NAME.fullmatch(name) else f'"{escape(name)}"'
