"""Evaluates expressions for askers from outside: in slices, bounded, leaving nothing behind.

A range query is evaluated step by step, and rests in between (see turns.py). Its result may hold
MOST_POINTS points; Prometheus bounds its own by --query.max-samples. The window forgets the selections that
a query made when the query ends, for queries come from anywhere and rules do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np

from analyzer.api.errors import ApiError
from analyzer.api.turns import Turn
from model.labels import Labels
from model.matcher import Matcher
from rules.promql.answer import Answer, Scalar, Vector
from rules.promql.context import Notes, Options
from rules.promql.errors import EvaluationError
from rules.promql.expression import Expression
from rules.promql.frame import Floats, Integers
from telemetry.window import Window

MOST_POINTS = 2_000_000
_WHOLE = re.compile(r"@\s*(?:start|end)\s*\(")
"""What looks at the ends of the query must see those of the whole query: it is evaluated in one go."""

_NO_LABELS = [Labels()]


class Joined:
    """The values of a range query step by step, put together by series at the end.

    Most often the steps have the same label sets, the very same objects even: then a step costs one
    comparison of two lists.
    """

    def __init__(self) -> None:
        self.points = 0
        self._row_of: dict[Labels, int] = {}
        self._labels: list[Labels] = []
        self._rows: Integers = np.empty(0, np.int64)
        self._steps: list[tuple[int, Integers, Floats]] = []

    def __len__(self) -> int:
        return len(self._row_of)

    @property
    def labels(self) -> Iterable[Labels]:
        """The label sets of all series, in the order in which they came."""
        return self._row_of

    def add(self, at: int, labels: list[Labels], values: Floats) -> None:
        """The value of a step, later than those before. Raises ApiError(422) past MOST_POINTS."""
        self.points += len(labels)
        if self.points > MOST_POINTS:
            why = "query processing would load too many samples into memory in query execution"
            raise ApiError(422, "execution", f"{why}: {MOST_POINTS} points are the most")
        if labels != self._labels:
            known = self._row_of
            rows = [known.setdefault(one, len(known)) for one in labels]
            self._labels, self._rows = labels, np.array(rows, np.int64)
        self._steps.append((at, self._rows, values))

    def columns(self) -> Callable[[Labels], tuple[Integers, Floats]]:
        """A function that gives the times (ms) and values of a series."""
        moments = np.array([at for at, _, _ in self._steps], np.int64)
        rows = np.concatenate([np.empty(0, np.int64), *(found for _, found, _ in self._steps)])
        times = np.repeat(moments, [len(found) for _, found, _ in self._steps])
        values = np.concatenate([np.empty(0), *(found for _, _, found in self._steps)])
        order = np.argsort(rows, kind="stable")
        times, values = times[order], values[order]
        ends = np.cumsum(np.bincount(rows, minlength=len(self)))

        def column(labels: Labels) -> tuple[Integers, Floats]:
            row = self._row_of[labels]
            place = slice(ends[row - 1] if row else 0, ends[row])
            return times[place], values[place]

        return column


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
        if _WHOLE.search(self._expression.text):
            self._whole(start, end, step, joined)
            return joined
        for at in range(start, end + 1, step):
            value = self.instant(at)
            if isinstance(value, Vector):
                joined.add(at, value.labels, value.values)
            elif isinstance(value, Scalar):
                joined.add(at, _NO_LABELS, np.array([value.value]))
            else:
                raise ApiError(422, "execution", "only numbers and instant vectors have values over a range")
            await turn.rest()
        return joined

    def _whole(self, start: int, end: int, step: int, joined: Joined) -> None:
        """All steps at once."""
        with self._borrowing():
            matrix = self._expression.evaluate_range(
                self._window, start, end, step, self._options, self._notes
            )
        steps: dict[int, tuple[list[Labels], list[float]]] = {}
        for labels, times, values in matrix.series():
            for at, value in zip(times.tolist(), values.tolist(), strict=True):
                known = steps.setdefault(at, ([], []))
                known[0].append(labels)
                known[1].append(value)
        for at in sorted(steps):
            joined.add(at, steps[at][0], np.array(steps[at][1]))

    @contextmanager
    def _borrowing(self) -> Iterator[None]:
        try:
            with self._window.noting(self._selected):
                yield
        except EvaluationError as error:
            raise ApiError(422, "execution", str(error)) from error
