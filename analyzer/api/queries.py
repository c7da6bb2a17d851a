"""/api/v1/query, /query_range, /query_exemplars and /format_query."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice

import promql_parser
from aiohttp import web

from analyzer.api.bodies import Answered, in_order
from analyzer.api.errors import ApiError, Handler, bad_parameter
from analyzer.api.evaluation import Evaluation
from analyzer.api.parameters import Parameters, parameters
from analyzer.api.reach import Reach
from analyzer.api.turns import TIMEOUT_SECONDS, Turn, Turns
from analyzer.formats import encode, format_sample, format_seconds, format_series, format_value, head, success
from analyzer.pipeline import Pipeline
from model.labels import Labels
from model.moment import SECOND
from rules.promql.answer import Answer, Matrix, Scalar, Vector
from rules.promql.context import Notes, Options
from rules.promql.errors import PromQLError
from rules.promql.expression import Expression, parse
from rules.promql.frame import Floats, Integers

MOST_STEPS = 11_000
TRUNCATED = "results truncated due to limit"


@dataclass
class _Query:
    """What one request asks for, on its way to an answer."""

    expression: Expression
    options: Options
    notes: Notes
    evaluation: Evaluation
    limit: int


class Queries:
    """Answers from the pipeline as it is now. `now` reads the clock (ms)."""

    def __init__(
        self, pipeline: Callable[[], Pipeline], now: Callable[[], int], turns: Turns, reach: Reach
    ) -> None:
        self._pipeline = pipeline
        self._now = now
        self._turns = turns
        self._reach = reach

    def routes(self) -> Iterator[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        for path, handler in (
            ("/api/v1/query", self.query),
            ("/api/v1/query_range", self.query_range),
            ("/api/v1/query_exemplars", self.query_exemplars),
            ("/api/v1/format_query", self.format_query),
        ):
            yield "GET", path, handler
            yield "POST", path, handler

    async def query(self, request: web.Request) -> web.Response:
        """The value of `query` at `time` (now unless given)."""
        asked = await parameters(request)
        at = asked.moment("time", self._now())
        async with self._prepared(request, asked) as (query, turn):
            result = query.evaluation.instant(at)
            warnings = self._warnings(query, at)
            body = Answered(turn)
            await _add_result(body, result, at, query.limit, warnings)
        body.close(warnings, list(query.notes.infos))
        return await body.sent(request)

    async def query_range(self, request: web.Request) -> web.Response:
        """The values of `query` from `start` to `end`, a `step` apart."""
        asked = await parameters(request)
        start, end, step = _range(asked)
        async with self._prepared(request, asked) as (query, turn):
            if (kind := query.expression.type) not in ("scalar", "vector"):
                named = "range vector" if kind == "matrix" else kind
                why = f'invalid expression type "{named}" for range query, must be Scalar or instant Vector'
                raise ApiError(400, "bad_data", why)
            found = (await query.evaluation.range(start, end, step, turn)).series()
            warnings = self._warnings(query, start)
            if 0 < query.limit < len(found):
                warnings.append(TRUNCATED)
            body = Answered(turn)
            body.add('{"resultType":"matrix","result":')
            ordered = islice(await in_order(found, turn), query.limit or None)
            await body.add_list(_series(found, ordered, range(start, end + 1, step)))
            body.add("}")
        body.close(warnings, list(query.notes.infos))
        return await body.sent(request)

    async def query_exemplars(self, request: web.Request) -> web.Response:
        """Exemplars are not kept: none, for a request that is sound."""
        asked = await parameters(request)
        start, end = asked.span()
        if end < start:
            raise ApiError(400, "bad_data", "end timestamp must not be before start timestamp")
        _parsed(asked)
        return success([])

    async def format_query(self, request: web.Request) -> web.Response:
        """The query as Prometheus' formatter lays it out."""
        asked = await parameters(request)
        _parsed(asked)  # its size is checked before the parser of the other library sees it
        try:
            return success(promql_parser.parse(asked.text("query")).prettify())
        except ValueError as error:
            raise bad_parameter("query", str(error)) from error

    @asynccontextmanager
    async def _prepared(self, request: web.Request, asked: Parameters) -> AsyncIterator[tuple[_Query, Turn]]:
        """The query and its turn; what it has selected is forgotten at the end. Raises ApiError."""
        limit = asked.number("limit")
        timeout = asked.duration("timeout") / SECOND if asked.text("timeout") else TIMEOUT_SECONDS
        expression = _parsed(asked)
        pipeline = self._pipeline()
        options = pipeline.settings.rules.options()
        if asked.text("lookback_delta"):
            options = replace(options, lookback=_positive(asked, "lookback_delta"))
        notes = Notes()
        evaluation = Evaluation(pipeline.window, expression, options, notes)
        async with self._turns.take(request, timeout) as turn:
            told = pipeline.demand.ask(expression, self._now())
            notes.warnings.update(dict.fromkeys(told.warnings))
            notes.infos.update(dict.fromkeys(told.infos))
            try:
                yield _Query(expression, options, notes, evaluation, limit), turn
            finally:
                evaluation.close()

    def _warnings(self, query: _Query, start: int) -> list[str]:
        if not query.expression.selectors:
            return list(query.notes.warnings)
        earliest = start - query.expression.longest_range(query.options.default_interval)
        return [*self._reach.warnings(earliest), *query.notes.warnings]


def _parsed(asked: Parameters) -> Expression:
    try:
        return parse(asked.text("query"))
    except PromQLError as error:
        raise bad_parameter("query", str(error)) from error


def _positive(asked: Parameters, name: str) -> int:
    found = asked.duration(name)
    if found <= 0:
        raise bad_parameter(name, "must be greater than 0")
    return found


def _range(asked: Parameters) -> tuple[int, int, int]:
    """start, end and step (ms). Raises ApiError as Prometheus does."""
    start, end = asked.moment("start"), asked.moment("end")
    if end < start:
        raise bad_parameter("end", "end timestamp must not be before start time")
    step = asked.duration("step")
    if step <= 0:
        why = "zero or negative query resolution step widths are not accepted. Try a positive integer"
        raise bad_parameter("step", why)
    if (end - start) // step > MOST_STEPS:
        why = "exceeded maximum resolution of 11,000 points per timeseries"
        raise ApiError(400, "bad_data", f"{why}. Try decreasing the query resolution (?step=XX)")
    return start, end, step


async def _add_result(body: Answered, result: Answer, at: int, limit: int, warnings: list[str]) -> None:
    """The data of an instant query, at most `limit` series of it (0: all)."""
    moment = format_seconds(at)
    if isinstance(result, str):
        body.add(f'{{"resultType":"string","result":[{moment},{encode(result)}]}}')
        return
    if isinstance(result, Scalar):
        body.add(f'{{"resultType":"scalar","result":[{moment},"{format_value(result.value)}"]}}')
        return
    if 0 < limit < len(result.labels):
        warnings.append(TRUNCATED)
    kind = "vector" if isinstance(result, Vector) else "matrix"
    body.add(f'{{"resultType":"{kind}","result":')
    await body.add_list(islice(_rows(result, moment), limit or None))
    body.add("}")


def _rows(result: Vector | Matrix, moment: str) -> Iterator[str]:
    if isinstance(result, Vector):
        for labels, value in zip(result.labels, result.values.tolist(), strict=True):
            yield format_sample(labels, moment, value)
        return
    for labels, times, values in result.series():
        yield format_series(labels, list(map(head, times.tolist())), values)


def _series(
    found: dict[Labels, tuple[Integers, Floats]], ordered: Iterable[Labels], steps: range
) -> Iterator[str]:
    """The elements of a matrix. Most series have a value at each step, so what is before it is shared."""
    heads = list(map(head, steps))
    for labels in ordered:
        times, values = found[labels]
        if len(times) < len(heads):
            places = ((times - steps.start) // steps.step).tolist()
            yield format_series(labels, [heads[place] for place in places], values)
        else:
            yield format_series(labels, heads, values)
