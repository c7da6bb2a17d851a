"""An expression: parsed and checked once, evaluated as often as one likes."""

from __future__ import annotations

from model.matcher import Matcher
from rules.promql.answer import Answer, Gathering, Matrix, answer_of, matrix_of
from rules.promql.compile import Compiler
from rules.promql.context import DEFAULT_OPTIONS, Context, Notes, Options, Query
from rules.promql.errors import EvaluationError
from rules.promql.node import Node
from rules.promql.scrapes import Span
from rules.promql.tree import parsed, type_of
from rules.promql.windows import RangeReader
from telemetry.window import Window


class Expression:
    """A compiled expression. It remembers label work of the window it was last evaluated on."""

    def __init__(self, text: str) -> None:
        self.text = text
        compiler = Compiler()
        tree = parsed(text)
        self.type = type_of(tree)
        """scalar, vector, string or matrix."""
        self._root: Node | None = None
        self._range: RangeReader | None = None
        if self.type == "matrix":
            self._range = compiler.range(tree)
        else:
            self._root = compiler.node(tree)
        self.asks_for_absence = compiler.asks_for_absence
        """Whether it uses absent(): a window that has just started to fill says nothing then."""
        self._needs_series = self.type == "vector" and not (
            compiler.asks_for_absence or compiler.makes_vectors
        )
        self._series = compiler.series
        self._reach = compiler.reach
        self._looked_at: object = None
        self._without_series = False

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @property
    def selectors(self) -> list[tuple[Matcher, ...]]:
        """The matchers of each selector in it."""
        return [series.matchers for series in self._series]

    @property
    def sources(self) -> list[tuple[Matcher, ...]]:
        """The same, with those of the names that other engines have for it."""
        return [matchers for series in self._series for matchers in series.sources]

    @property
    def spans(self) -> list[Span]:
        """The ranges it reads, as written; those of instant selectors are 0."""
        return [reach.span for reach in self._reach]

    def without_series(self, window: Window) -> bool:
        """Whether it has no rows now, whatever the moment: none of its selectors finds a series."""
        if not self._needs_series:
            return False
        version = window, window.version
        if self._looked_at != version:
            self._looked_at = version
            self._without_series = not any(map(window.select, self.sources))
        return self._without_series

    def longest_range(self, interval: int) -> int:
        """How far back (ms) its ranges and offsets read, for series scraped every `interval` ms."""
        return max((reach.span.at(interval) + reach.further for reach in self._reach), default=0)

    def evaluate(
        self, window: Window, at: int, options: Options = DEFAULT_OPTIONS, notes: Notes | None = None
    ) -> Answer:
        """Its value at `at` (ms). `notes` gathers what is dubious in it.

        Raises EvaluationError where the data allow no answer.
        """
        context = Context(Query(window, at, at, options, notes or Notes()), at)
        if self._range is not None:
            return matrix_of(self._range.read(context))
        assert self._root is not None
        return answer_of(self._root.evaluate(context))

    def evaluate_range(
        self,
        window: Window,
        start: int,
        end: int,
        step: int,
        options: Options = DEFAULT_OPTIONS,
        notes: Notes | None = None,
    ) -> Matrix:
        """Its values at start, start + step, ... up to end (ms). Raises EvaluationError."""
        return self.steps(window, start, end, step, options, notes).matrix()

    def steps(
        self,
        window: Window,
        start: int,
        end: int,
        step: int,
        options: Options = DEFAULT_OPTIONS,
        notes: Notes | None = None,
    ) -> Steps:
        """The same, for who wants to do something else between the moments."""
        if self._root is None or self.type == "string":
            raise EvaluationError(
                f"a {self.type} has no values over a range: an instant vector or a number is needed"
            )
        return Steps(self._root, Query(window, start, end, options, notes or Notes()), step)


class Steps:
    """A range query that is evaluated moment by moment: `advance` until it says no.

    `gathering` is what has been found so far.
    """

    def __init__(self, root: Node, query: Query, step: int) -> None:
        self._root = root
        self._query = query
        self._moments = iter(range(query.start, query.end + 1, step))
        self.gathering = Gathering()

    def advance(self) -> bool:
        """Evaluate the next moment; False if there is none. Raises EvaluationError."""
        at = next(self._moments, None)
        if at is None:
            return False
        self.gathering.add(at, self._root.evaluate(Context(self._query, at)))
        return True

    def matrix(self) -> Matrix:
        """All values; what was not evaluated yet is now."""
        while self.advance():
            pass
        return self.gathering.matrix()


def parse(text: str) -> Expression:
    """An expression that is ready to be evaluated. Raises PromQLError naming what is not supported."""
    return Expression(text)
