"""From the parser's AST to nodes. What is not supported is said here, by name, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import promql_parser as ast

from model.labels import NAME
from model.matcher import Matcher, Op
from rules.promql import functions, relabel, windows
from rules.promql.aggregation import REDUCTIONS, Aggregation, CountValues, Quantile, Ranking
from rules.promql.binary import ARITHMETIC, COMPARISONS, Binary, Negation
from rules.promql.calendar import DATES
from rules.promql.errors import PromQLError, Unsupported
from rules.promql.histogram import HistogramFraction, HistogramQuantile
from rules.promql.matching import Matching, SetOperator
from rules.promql.node import Literal, Node
from rules.promql.scrapes import Span, span_of
from rules.promql.selectors import InstantSelector, RangeSelector, Series, When
from rules.promql.spelling import at_of
from rules.promql.subquery import Subquery
from rules.promql.windows import RangeReader
from telemetry.matching import InvalidMatcher, check
from wire.aliases import aliases_of

_EPOCH = datetime.fromtimestamp(0, UTC)
_OPERATORS = {"Equal": Op.EQUAL, "NotEqual": Op.NOT_EQUAL, "Re": Op.MATCHES, "NotRe": Op.NOT_MATCHES}


@dataclass(frozen=True, slots=True)
class Reach:
    """How far back a selector reads: its range (0 for an instant one) and `further` ms before that."""

    series: Series
    span: Span
    further: int


@dataclass
class Compiler:
    """Compiles one expression and notes what it reads."""

    series: list[Series] = field(default_factory=list)
    reach: list[Reach] = field(default_factory=list)
    asks_for_absence: bool = False
    classic: bool = False
    """Within a histogram function whose selectors name no buckets, see `_histogram`."""
    further: int = 0
    """How far before the moment (ms) the subqueries around the present place begin."""

    def node(self, expression: Any) -> Node:
        """The node of an expression. Raises PromQLError naming what is not supported."""
        compile_this = _BY_TYPE.get(type(expression))
        if compile_this is None:
            raise Unsupported(f"{type(expression).__name__} is not supported: {expression.prettify()}")
        return compile_this(self, expression)

    def instant(self, expression: Any) -> InstantSelector:
        """An instant selector."""
        series, when = self._series(expression), when_of(expression)
        self._note(series, Span(), when)
        return InstantSelector(series, when)

    def range(self, expression: Any) -> RangeReader:
        """The range vector that a function of ranges is applied to."""
        expression = unwrapped(expression)
        if isinstance(expression, ast.SubqueryExpr):
            return self._subquery(expression)
        if not isinstance(expression, ast.MatrixSelector):
            raise PromQLError(f"a range selector is needed here, not {expression.prettify()}")
        series, when = self._series(expression.vector_selector), when_of(expression.vector_selector)
        span = span_of(milliseconds(expression.range))
        self._note(series, span, when)
        return RangeSelector(series, span, when)

    def _subquery(self, expression: Any) -> Subquery:
        when, span = when_of(expression), span_of(milliseconds(expression.range))
        step = milliseconds(expression.step) if expression.step else 0
        if span.scrapes:
            raise Unsupported(f"$scrapes is no range of a subquery: {expression.prettify()}")
        outer = self.further
        self.further += span.fixed + max(0, when.offset)
        operand = self.node(expression.expr)
        self.further = outer
        return Subquery(operand, span, step, when)

    def _series(self, selector: Any) -> Series:
        if selector.matchers.or_matchers:
            raise Unsupported(f"`or` between matchers is no PromQL: {selector.prettify()}")
        matchers = matchers_of(selector)
        otherwise: list[Matcher] = []
        if self.classic and selector.name:
            otherwise = [Matcher(NAME, Op.EQUAL, f"{selector.name}_bucket"), *matchers[1:]]
        series = Series(matchers, aliased(matchers), otherwise)
        self.series.append(series)
        return series

    def _note(self, series: Series, span: Span, when: When) -> None:
        if not isinstance(when.at, int):
            self.reach.append(Reach(series, span, self.further + max(0, when.offset)))


def when_of(expression: Any) -> When:
    """What `@` and `offset` say. Raises PromQLError for what no clock shows."""
    offset = milliseconds(expression.offset or timedelta())
    if span_of(abs(offset)).scrapes:
        raise PromQLError(f"the offset is out of range: {expression.prettify()}")
    if expression.at is None:
        return When(offset)
    kind = str(expression.at.type).rpartition(".")[2]
    if kind != "At":
        return When(offset, kind.lower())
    try:
        return When(offset, at_of((expression.at.at - _EPOCH) / timedelta(milliseconds=1)))
    except (ValueError, OverflowError) as error:
        raise PromQLError(f"the time of @ is out of range: {expression.prettify()}") from error


def matchers_of(selector: Any) -> list[Matcher]:
    """The matchers of a selector, its name among them. Raises PromQLError for a regex RE2 refuses."""
    matchers = [Matcher(NAME, Op.EQUAL, selector.name)] if selector.name else []
    for found in selector.matchers.matchers:
        op = _OPERATORS[str(found.op).rpartition(".")[2]]
        matchers.append(_checked(Matcher(found.name, op, found.value)))
    return matchers


def aliased(matchers: list[Matcher]) -> list[list[Matcher]]:
    """The same selector with the names of other engines, where its own is one of vLLM's."""
    first, *rest = matchers
    if first.name != NAME or first.op is not Op.EQUAL:
        return []
    return [
        [
            Matcher(NAME, Op.EQUAL, alias.name),
            *(Matcher(label, Op.EQUAL, value) for label, value in alias.matchers),
            *rest,
        ]
        for alias in aliases_of(first.value)
    ]


def _checked(matcher: Matcher) -> Matcher:
    try:
        check(matcher)
    except InvalidMatcher as error:
        raise PromQLError(str(error)) from error
    return matcher


def milliseconds(duration: timedelta) -> int:
    """A duration in whole ms."""
    return duration // timedelta(milliseconds=1)


def unwrapped(expression: Any) -> Any:
    """The expression without parentheses around it."""
    while isinstance(expression, ast.ParenExpr):
        expression = expression.expr
    return expression


def _binary(compiler: Compiler, expression: Any) -> Node:
    op = str(expression.op)
    left, right = compiler.node(expression.lhs), compiler.node(expression.rhs)
    matching, return_bool = _matching(expression)
    if op in ("and", "or", "unless"):
        return SetOperator(op, left, right, matching)
    if op in ARITHMETIC or op in COMPARISONS:
        return Binary(op, left, right, matching, return_bool)
    raise Unsupported(f"the operator {op!r} is not supported: {expression.prettify()}")


_SIDES = {"ManyToOne": "left", "OneToMany": "right"}


def _matching(expression: Any) -> tuple[Matching, bool]:
    modifier = expression.modifier
    if modifier is None:
        return Matching(), False
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise Unsupported(f"fill modifiers are not supported: {expression.prettify()}")
    many = _SIDES.get(str(modifier.card).rpartition(".")[2], "")
    include = tuple(modifier.group_labels or ())
    if modifier.matching is None:
        return Matching(many=many, include=include), modifier.return_bool
    on = str(modifier.matching.type).endswith("Include")
    return Matching(on, tuple(modifier.matching.labels), many, include), modifier.return_bool


def _aggregate(compiler: Compiler, expression: Any) -> Node:
    op, operand = str(expression.op), compiler.node(expression.expr)
    modifier = expression.modifier
    by = modifier is None or str(modifier.type).endswith("By")
    labels = tuple(modifier.labels) if modifier is not None else ()
    if compiler.classic and by:
        labels = (*labels, "le")
    if op in REDUCTIONS:
        return Aggregation(op, operand, by, labels)
    if op in ("topk", "bottomk"):
        return Ranking(op, compiler.node(expression.param), operand, by, labels)
    if op == "quantile":
        return Quantile(compiler.node(expression.param), operand, by, labels)
    if op == "count_values":
        return CountValues(expression.param.val, operand, by, labels)
    raise Unsupported(f"the aggregation {op} is not supported: {expression.prettify()}")


def _call(compiler: Compiler, expression: Any) -> Node:
    name, arguments = expression.func.name, list(expression.args)
    if name in windows.KERNELS:
        place = 1 if name == "quantile_over_time" else 0
        before, after = _nodes(compiler, arguments[:place]), _nodes(compiler, arguments[place + 1 :])
        return windows.RangeFunction(name, compiler.range(arguments[place]), before, after)
    if name in DATES:
        operand = compiler.node(arguments[0]) if arguments else functions.ToVector(functions.Constant("time"))
        return functions.Calendar(name, operand)
    if name in functions.ELEMENTWISE:
        return functions.Elementwise(name, compiler.node(arguments[0]), _nodes(compiler, arguments[1:]))
    build = _CALLS.get(name)
    if build is None:
        raise Unsupported(f"the function {name} is not supported: {expression.prettify()}")
    return build(compiler, arguments)


def _nodes(compiler: Compiler, expressions: Sequence[Any]) -> list[Node]:
    return [compiler.node(expression) for expression in expressions]


def _absent(compiler: Compiler, arguments: list[Any]) -> Node:
    compiler.asks_for_absence = True
    operand = unwrapped(arguments[0])
    matchers = matchers_of(operand) if isinstance(operand, ast.VectorSelector) else []
    return functions.Absent(compiler.node(operand), functions.absent_labels(matchers))


def _absent_over_time(compiler: Compiler, arguments: list[Any]) -> Node:
    compiler.asks_for_absence = True
    operand = compiler.range(arguments[0])
    matchers = operand.series.matchers if isinstance(operand, RangeSelector) else ()
    return functions.Absent(operand, functions.absent_labels(matchers), ranged=True)


def _histogram(compiler: Compiler, expression: Any) -> Node:
    """The buckets that a histogram function works on.

    A classic histogram may be asked for by its own name, as one that Prometheus 3 has converted to a native
    one with custom buckets: where there is no `x` but `x_bucket`, that is read, and `le` is kept.
    """
    names = [selector.name for selector in selectors_in(expression)]
    before, compiler.classic = compiler.classic, all(name and not name.endswith("_bucket") for name in names)
    try:
        return compiler.node(expression)
    finally:
        compiler.classic = before


def selectors_in(expression: Any) -> list[Any]:
    """The vector selectors of an AST."""
    found: list[Any] = []

    def visit(node: Any) -> bool:
        if isinstance(node, ast.VectorSelector) and node not in found:
            found.append(node)
        return True

    ast.walk(expression, pre_visit=visit)
    return found


def _histogram_quantile(compiler: Compiler, arguments: list[Any]) -> Node:
    return HistogramQuantile(compiler.node(arguments[0]), _histogram(compiler, arguments[1]))


def _histogram_fraction(compiler: Compiler, arguments: list[Any]) -> Node:
    lower, upper = _nodes(compiler, arguments[:2])
    return HistogramFraction(lower, upper, _histogram(compiler, arguments[2]))


def _sorted(descending: bool) -> Callable[[Compiler, list[Any]], Node]:
    return lambda compiler, arguments: functions.Sorted(compiler.node(arguments[0]), descending)


def _sorted_by_label(descending: bool) -> Callable[[Compiler, list[Any]], Node]:
    return lambda compiler, arguments: functions.Sorted(
        compiler.node(arguments[0]), descending, [label.val for label in arguments[1:]]
    )


def _extreme(name: str) -> Callable[[Compiler, list[Any]], Node]:
    return lambda compiler, arguments: functions.Extreme(name, _nodes(compiler, arguments))


def _label_replace(compiler: Compiler, arguments: list[Any]) -> Node:
    operand, *texts = arguments
    words = [text.val for text in texts]
    return relabel.Relabelled(compiler.node(operand), words[0], relabel.replacing(*words))


def _label_join(compiler: Compiler, arguments: list[Any]) -> Node:
    operand, target, separator, *sources = arguments
    rewrite = relabel.joining(target.val, separator.val, [source.val for source in sources])
    return relabel.Relabelled(compiler.node(operand), target.val, rewrite)


def _constant(name: str) -> Callable[[Compiler, list[Any]], Node]:
    return lambda _compiler, _arguments: functions.Constant(name)


_CALLS: dict[str, Callable[[Compiler, list[Any]], Node]] = {
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": lambda compiler, arguments: functions.Clamp(*_nodes(compiler, arguments)),
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "max_of": _extreme("max_of"),
    "min_of": _extreme("min_of"),
    "pi": _constant("pi"),
    "scalar": lambda compiler, arguments: functions.ToScalar(compiler.node(arguments[0])),
    "sort": _sorted(descending=False),
    "sort_by_label": _sorted_by_label(descending=False),
    "sort_by_label_desc": _sorted_by_label(descending=True),
    "sort_desc": _sorted(descending=True),
    "time": _constant("time"),
    "timestamp": lambda compiler, arguments: functions.Timestamp(compiler.node(unwrapped(arguments[0]))),
    "vector": lambda compiler, arguments: functions.ToVector(compiler.node(arguments[0])),
}


def _naked_range(_compiler: Compiler, expression: Any) -> Node:
    raise PromQLError(f"a range vector is no operand here, apply a function to {expression.prettify()}")


_BY_TYPE: dict[type, Callable[[Compiler, Any], Node]] = {
    ast.NumberLiteral: lambda _compiler, expression: Literal(float(expression.val)),
    ast.StringLiteral: lambda _compiler, expression: Literal(expression.val),
    ast.ParenExpr: lambda compiler, expression: compiler.node(expression.expr),
    ast.UnaryExpr: lambda compiler, expression: Negation(compiler.node(expression.expr)),
    ast.VectorSelector: lambda compiler, expression: compiler.instant(expression),
    ast.MatrixSelector: _naked_range,
    ast.SubqueryExpr: _naked_range,
    ast.BinaryExpr: _binary,
    ast.AggregateExpr: _aggregate,
    ast.Call: _call,
}
