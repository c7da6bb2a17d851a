"""Evaluates expressions for askers from outside: in slices, bounded, leaving nothing behind.

A range query is evaluated step by step, and rests in between (see turns.py). Its result may hold
MOST_POINTS points; Prometheus bounds its own by --query.max-samples. The window forgets the selections that
a query made when the query ends, for queries come from anywhere and rules do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from analyzer.api.errors import ApiError
from analyzer.api.turns import Turn
from model.matcher import Matcher
from rules.promql.answer import Answer, Gathering
from rules.promql.context import Notes, Options
from rules.promql.errors import EvaluationError
from rules.promql.expression import Expression
from telemetry.window import Window

MOST_POINTS = 2_000_000


class Evaluation:
    """One query over the window, in its turn; `close` when it has ended."""

    def __init__(self, window: Window, expression: Expression, options: Options, notes: Notes) -> None:
        self._window = window
        self._expression = expression
        self._options = options
        self._notes = notes
        self._selected: set[tuple[Matcher, ...]] = set()

    def close(self) -> None:
        """The window forgets what only this query has selected."""
        self._window.forget(self._selected)

    def instant(self, at: int) -> Answer:
        """The value at `at` (ms). Raises ApiError(422)."""
        with self._borrowing():
            return self._expression.evaluate(self._window, at, self._options, self._notes)

    async def range(self, start: int, end: int, step: int, turn: Turn) -> Gathering:
        """The values at start, start + step, ... up to end (ms). Raises ApiError: 422, 503."""
        with self._borrowing():
            steps = self._expression.steps(self._window, start, end, step, self._options, self._notes)
        more = True
        while more:
            with self._borrowing():
                more = steps.advance()
            if steps.gathering.points > MOST_POINTS:
                why = "query processing would load too many samples into memory in query execution"
                raise ApiError(422, "execution", f"{why}: {MOST_POINTS} points are the most")
            await turn.rest()
        return steps.gathering

    @contextmanager
    def _borrowing(self) -> Iterator[None]:
        try:
            with self._window.noting(self._selected):
                yield
        except EvaluationError as error:
            raise ApiError(422, "execution", str(error)) from error
