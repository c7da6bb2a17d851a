"""An expression: parsed and checked once, evaluated as often as one likes."""

from __future__ import annotations

import re

import promql_parser

from model.matcher import Matcher
from rules.promql.answer import Answer, Gathering, Matrix, answer_of
from rules.promql.compile import Compiler
from rules.promql.context import DEFAULT_OPTIONS, Context, Notes, Options
from rules.promql.errors import PromQLError
from rules.promql.scrapes import Span, substitute
from telemetry.window import Window

LONGEST = 16_384
MOST_OPERATORS = 200

# Strings, comments and the matchers in braces nest nothing.
_ATOMS = re.compile(r"""#[^\n]*|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`|\{[^{}]*\}""")
_OPERATORS = re.compile(r"[-+*/%^(\[<>]|[=!]=|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


class Expression:
    """A compiled expression. It remembers label work of the window it was last evaluated on."""

    def __init__(self, text: str) -> None:
        self.text = text
        check_size(text)
        compiler = Compiler()
        try:
            self._root = compiler.node(promql_parser.parse(substitute(text)))
        except ValueError as error:
            raise PromQLError(_shown(error, text)) from error
        self.asks_for_absence = compiler.asks_for_absence
        """Whether it uses absent(): a window that has just started to fill says nothing then."""
        self._series = compiler.series
        self._reach = compiler.reach

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    @property
    def selectors(self) -> list[tuple[Matcher, ...]]:
        """The matchers of each selector in it."""
        return [series.matchers for series in self._series]

    @property
    def spans(self) -> list[Span]:
        """The ranges it reads, as written; those of instant selectors are 0."""
        return [span for _, span, _ in self._reach]

    def longest_range(self, interval: int) -> int:
        """How far back (ms) its ranges and offsets read, for series scraped every `interval` ms."""
        return max((span.at(interval) + max(offset, 0) for _, span, offset in self._reach), default=0)

    def evaluate(
        self, window: Window, at: int, options: Options = DEFAULT_OPTIONS, notes: Notes | None = None
    ) -> Answer:
        """Its value at `at` (ms). `notes` gathers what is dubious in it.

        Raises EvaluationError where the data allow no answer.
        """
        return answer_of(self._root.evaluate(Context(window, at, at, at, options, notes or Notes())))

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
        query = Context(window, start, start, end, options, notes or Notes())
        gathered = Gathering()
        for at in range(start, end + 1, step):
            gathered.add(at, self._root.evaluate(query.moved(at)))
        return gathered.matrix()


def check_size(text: str) -> None:
    """Refuse what would overflow the stack of the parser, which takes the whole process with it.

    The largest expressions of the rule packs in our tests have 1.5 kB, and 68 operators and brackets.
    """
    if len(text) > LONGEST:
        raise PromQLError(f"the expression has {len(text)} characters; {LONGEST} are the most")
    bare = _ATOMS.sub("", text)
    operators = len(_OPERATORS.findall(bare))
    if operators > MOST_OPERATORS:
        raise PromQLError(
            f"the expression has {operators} operators and brackets; {MOST_OPERATORS} are the most"
        )


def _shown(error: ValueError, text: str) -> str:
    """The parser's message; where it says nothing of the place, the expression helps to find it."""
    said = str(error)
    if said != "invalid promql query":
        return said
    short = " ".join(text.split())
    return f"is no PromQL: {short[:80]}{'...' if len(short) > 80 else ''}"


def parse(text: str) -> Expression:
    """An expression that is ready to be evaluated. Raises PromQLError naming what is not supported."""
    return Expression(text)
