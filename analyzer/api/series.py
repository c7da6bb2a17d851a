"""/api/v1/series, /labels and /label/NAME/values.

As in Prometheus a span of time leaves out what has ended before it, not each series that paused in it: a
series counts if its newest sample is not older than `start`, and nothing does if `end` is before all data.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from aiohttp import web

from analyzer.api.bodies import Answered, in_order
from analyzer.api.errors import ApiError, Handler
from analyzer.api.parameters import FARTHEST, Parameters, parameters
from analyzer.api.queries import TRUNCATED
from analyzer.api.reach import Reach
from analyzer.api.searching import search_all
from analyzer.api.turns import Turn, Turns
from analyzer.formats import encode, format_metric
from model.labels import Labels
from model.matcher import Matcher
from telemetry.bits import Ints
from telemetry.window import Window

_ESCAPED = re.compile(r"_(?:(_)|([0-9a-fA-F]+)_)")
_PIECE = 512


class SeriesApi:
    """Answers from the window as it is now."""

    def __init__(self, window: Callable[[], Window], turns: Turns, reach: Reach) -> None:
        self._window = window
        self._turns = turns
        self._reach = reach

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        yield "GET", "/api/v1/series", self.series
        yield "POST", "/api/v1/series", self.series
        yield "GET", "/api/v1/labels", self.labels
        yield "POST", "/api/v1/labels", self.labels
        yield "GET", "/api/v1/label/{name}/values", self.values

    async def series(self, request: web.Request) -> web.Response:
        """The label sets that one of the selectors in `match[]` selects."""
        asked = await parameters(request)
        if not asked.texts("match[]"):
            raise ApiError(400, "bad_data", "no match[] parameter provided")
        selectors, limit = asked.selectors(), asked.number("limit")
        start, end = asked.span()
        warnings = self._warnings(asked)
        async with self._turns.take(request) as turn:
            ids, table = await self._found(selectors, start, end, turn)
            if 0 < limit < len(ids):
                warnings.append(TRUNCATED)
            ordered = await in_order((table[sid] for sid in ids.tolist()), turn)
            body = Answered(turn)
            await body.add_list(map(format_metric, islice(ordered, limit or None)))
        body.close(warnings)
        return await body.sent(request)

    async def labels(self, request: web.Request) -> web.Response:
        """The names of labels, of all series or of those that `match[]` selects."""

        def names(labels: Labels) -> Iterable[str]:
            return labels

        return await self._listed(request, names, lambda window: window.label_names())

    async def values(self, request: web.Request) -> web.Response:
        """The values of a label, of all series or of those that `match[]` selects."""
        name = unescape(request.match_info["name"])

        def value(labels: Labels) -> Iterable[str]:
            found = labels.value(name)
            return (found,) if found else ()

        return await self._listed(request, value, lambda window: window.label_values(name))

    async def _listed(
        self,
        request: web.Request,
        of_one: Callable[[Labels], Iterable[str]],
        of_all: Callable[[Window], list[str]],
    ) -> web.Response:
        asked = await parameters(request)
        selectors, limit = asked.selectors(), asked.number("limit")
        start, end = asked.span()
        warnings = self._warnings(asked)
        async with self._turns.take(request) as turn:
            if selectors:
                ids, table = await self._found(selectors, start, end, turn)
                found = sorted(await _gathered(ids, table, of_one, turn))
            else:
                found = of_all(self._window()) if end >= self._reach.begins() else []
            if 0 < limit < len(found):
                warnings.append(TRUNCATED)
            body = Answered(turn)
            await body.add_list(map(encode, found[: limit or None]))
        body.close(warnings)
        return await body.sent(request)

    async def _found(
        self, selectors: Sequence[tuple[Matcher, ...]], start: int, end: int, turn: Turn
    ) -> tuple[Ints, Sequence[Labels]]:
        """The series of all selectors together that have data in the span, and the labels by id."""
        window = self._window()
        ids, table = await search_all(window, selectors, turn), window.registry.labels
        if end < self._reach.begins() or end < start:
            return ids[:0], table
        return ids[window.last(ids)[0] >= start], table

    def _warnings(self, asked: Parameters) -> list[str]:
        start, _ = asked.span()
        return self._reach.warnings(start) if start > -FARTHEST else []


async def _gathered(
    ids: Ints, table: Sequence[Labels], of_one: Callable[[Labels], Iterable[str]], turn: Turn
) -> set[str]:
    found: set[str] = set()
    for start in range(0, len(ids), _PIECE):
        for sid in ids[start : start + _PIECE].tolist():
            found.update(of_one(table[sid]))
        await turn.rest()
    return found


def unescape(name: str) -> str:
    """A label's name as it stands in a path: `U__` marks Prometheus' escaping of UTF-8 names.

    >>> unescape("U__http_2e_status"), unescape("U__a__b"), unescape("job")
    ('http.status', 'a_b', 'job')
    """
    if not name.startswith("U__"):
        return name
    return _ESCAPED.sub(lambda found: "_" if found[1] else _character(found[2], found[0]), name[3:])


def _character(code: str, otherwise: str) -> str:
    try:
        return chr(int(code, 16))
    except (ValueError, OverflowError):
        return otherwise
