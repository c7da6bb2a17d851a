"""Evaluates expressions for askers from outside: in slices, bounded, leaving nothing behind.

A range query is evaluated some steps at a time, as many as fit a slice (see turns.py). Its result may hold
MOST_POINTS points; Prometheus bounds its own by --query.max-samples. The window forgets the selections that
a query made when the query ends, for queries come from anywhere and rules do not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from analyzer.api.errors import ApiError
from analyzer.api.turns import Turn
from model.labels import Labels
from model.matcher import Matcher
from rules.promql.answer import Answer, Matrix
from rules.promql.context import Notes, Options
from rules.promql.errors import EvaluationError
from rules.promql.expression import Expression
from rules.promql.frame import Floats, Integers
from telemetry.window import Window

MOST_POINTS = 2_000_000
_WHOLE = re.compile(r"@\s*(?:start|end)\s*\(")
"""What looks at the ends of the query must see those of the whole query, not of a slice."""


@dataclass
class Joined:
    """The parts of a range query, put together by series. Points come in the order of time."""

    points: int = 0
    _parts: dict[Labels, tuple[list[Integers], list[Floats]]] = field(default_factory=dict)

    def add(self, part: Matrix) -> None:
        """The next steps. Raises ApiError(422) for more than MOST_POINTS."""
        for labels, times, values in part.series():
            self.points += len(times)
            known = self._parts.setdefault(labels, ([], []))
            known[0].append(times)
            known[1].append(values)
        if self.points > MOST_POINTS:
            why = "query processing would load too many samples into memory in query execution"
            raise ApiError(422, "execution", f"{why}: {MOST_POINTS} points are the most")

    def series(self, most: int = 0) -> Iterator[tuple[Labels, Integers, Floats]]:
        """Labels, times (ms) and values, sorted by labels; `most` series, 0 for all."""
        for labels in sorted(self._parts)[: most or None]:
            times, values = self._parts[labels]
            yield labels, np.concatenate(times), np.concatenate(values)

    def __len__(self) -> int:
        return len(self._parts)


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

    async def range(self, start: int, end: int, step: int, turn: Turn) -> Joined:
        """The values at start, start + step, ... up to end (ms). Raises ApiError: 422, 503."""
        joined = Joined()
        at, count = start, 1
        if _WHOLE.search(self._expression.text):
            count = 1 + (end - start) // step
        while at <= end:
            before = turn.left
            joined.add(self._steps(at, min(at + (count - 1) * step, end), step))
            took = before - turn.left
            at += count * step
            await turn.rest()
            count = max(1, min(2 * count, int(count * turn.left / max(took, 1e-9))))
        return joined

    def _steps(self, start: int, end: int, step: int) -> Matrix:
        with self._borrowing():
            return self._expression.evaluate_range(self._window, start, end, step, self._options, self._notes)

    @contextmanager
    def _borrowing(self) -> Iterator[None]:
        try:
            with self._window.noting(self._selected):
                yield
        except EvaluationError as error:
            raise ApiError(422, "execution", str(error)) from error
