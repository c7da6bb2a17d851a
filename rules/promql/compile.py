"""From the parser's AST to nodes. What is not supported is said here, by name, before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import promql_parser as ast

from model.labels import NAME
from model.matcher import Matcher, Op
from rules.promql import functions, relabel, windows
from rules.promql.aggregation import REDUCTIONS, Aggregation, CountValues, Quantile, Ranking
from rules.promql.binary import ARITHMETIC, COMPARISONS, Binary, Negation
from rules.promql.calendar import DATES
from rules.promql.errors import PromQLError
from rules.promql.histogram import HistogramQuantile
from rules.promql.matching import Matching, SetOperator
from rules.promql.node import Literal, Node
from rules.promql.scrapes import Span, span_of
from rules.promql.selectors import InstantSelector, RangeSelector, Series
from telemetry.matching import InvalidMatcher, check

_OPERATORS = {"Equal": Op.EQUAL, "NotEqual": Op.NOT_EQUAL, "Re": Op.MATCHES, "NotRe": Op.NOT_MATCHES}


@dataclass
class Compiler:
    """Compiles one expression and notes what it reads."""

    series: list[Series] = field(default_factory=list)
    reach: list[tuple[Series, Span, int]] = field(default_factory=list)
    """Each selector with its range (0 for an instant one) and its offset in ms."""
    asks_for_absence: bool = False

    def node(self, expression: Any) -> Node:
        """The node of an expression. Raises PromQLError naming what is not supported."""
        compile_this = _BY_TYPE.get(type(expression))
        if compile_this is None:
            raise PromQLError(f"{type(expression).__name__} is not supported: {expression.prettify()}")
        return compile_this(self, expression)

    def instant(self, expression: Any) -> InstantSelector:
        """An instant selector."""
        series, offset = self._series(expression)
        self.reach.append((series, Span(), offset))
        return InstantSelector(series, offset)

    def range(self, expression: Any) -> RangeSelector:
        """The range selector that a function of ranges is applied to."""
        expression = _unwrapped(expression)
        if isinstance(expression, ast.SubqueryExpr):
            raise PromQLError(f"subqueries are not supported: {expression.prettify()}")
        if not isinstance(expression, ast.MatrixSelector):
            raise PromQLError(f"a range selector is needed here, not {expression.prettify()}")
        series, offset = self._series(expression.vector_selector)
        span = span_of(_milliseconds(expression.range))
        self.reach.append((series, span, offset))
        return RangeSelector(series, span, offset)

    def _series(self, selector: Any) -> tuple[Series, int]:
        if selector.at is not None:
            raise PromQLError(f"the @ modifier is not supported: {selector.prettify()}")
        if selector.matchers.or_matchers:
            raise PromQLError(f"`or` between matchers is no PromQL: {selector.prettify()}")
        offset = _milliseconds(selector.offset or timedelta())
        if span_of(abs(offset)).scrapes:
            raise PromQLError(f"the offset is out of range: {selector.prettify()}")
        series = Series(matchers_of(selector))
        self.series.append(series)
        return series, offset


def matchers_of(selector: Any) -> list[Matcher]:
    """The matchers of a selector, its name among them. Raises PromQLError for a regex RE2 refuses."""
    matchers = [Matcher(NAME, Op.EQUAL, selector.name)] if selector.name else []
    for found in selector.matchers.matchers:
        op = _OPERATORS[str(found.op).rpartition(".")[2]]
        matchers.append(_checked(Matcher(found.name, op, found.value)))
    return matchers


def _checked(matcher: Matcher) -> Matcher:
    try:
        check(matcher)
    except InvalidMatcher as error:
        raise PromQLError(str(error)) from error
    return matcher


def _milliseconds(duration: timedelta) -> int:
    return duration // timedelta(milliseconds=1)


def _unwrapped(expression: Any) -> Any:
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
    raise PromQLError(f"the operator {op!r} is not supported: {expression.prettify()}")


_SIDES = {"ManyToOne": "left", "OneToMany": "right"}


def _matching(expression: Any) -> tuple[Matching, bool]:
    modifier = expression.modifier
    if modifier is None:
        return Matching(), False
    fill = modifier.fill_values
    if fill is not None and (fill.lhs is not None or fill.rhs is not None):
        raise PromQLError(f"fill modifiers are not supported: {expression.prettify()}")
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
    if op in REDUCTIONS:
        return Aggregation(op, operand, by, labels)
    if op in ("topk", "bottomk"):
        return Ranking(op, compiler.node(expression.param), operand, by, labels)
    if op == "quantile":
        return Quantile(compiler.node(expression.param), operand, by, labels)
    if op == "count_values":
        return CountValues(expression.param.val, operand, by, labels)
    raise PromQLError(f"the aggregation {op} is not supported: {expression.prettify()}")


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
        raise PromQLError(f"the function {name} is not supported: {expression.prettify()}")
    return build(compiler, arguments)


def _nodes(compiler: Compiler, expressions: Sequence[Any]) -> list[Node]:
    return [compiler.node(expression) for expression in expressions]


def _absent(compiler: Compiler, arguments: list[Any]) -> Node:
    compiler.asks_for_absence = True
    operand = _unwrapped(arguments[0])
    matchers = matchers_of(operand) if isinstance(operand, ast.VectorSelector) else []
    return functions.Absent(compiler.node(operand), functions.absent_labels(matchers))


def _absent_over_time(compiler: Compiler, arguments: list[Any]) -> Node:
    compiler.asks_for_absence = True
    selector = compiler.range(arguments[0])
    return functions.Absent(selector, functions.absent_labels(selector.series.matchers))


def _label_replace(compiler: Compiler, arguments: list[Any]) -> Node:
    operand, *texts = arguments
    return relabel.Relabelled(compiler.node(operand), relabel.replacing(*(text.val for text in texts)))


def _label_join(compiler: Compiler, arguments: list[Any]) -> Node:
    operand, target, separator, *sources = arguments
    rewrite = relabel.joining(target.val, separator.val, [source.val for source in sources])
    return relabel.Relabelled(compiler.node(operand), rewrite)


def _constant(name: str) -> Callable[[Compiler, list[Any]], Node]:
    return lambda _compiler, _arguments: functions.Constant(name)


_CALLS: dict[str, Callable[[Compiler, list[Any]], Node]] = {
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": lambda compiler, arguments: functions.Clamp(*_nodes(compiler, arguments)),
    "histogram_quantile": lambda compiler, arguments: HistogramQuantile(*_nodes(compiler, arguments)),
    "label_join": _label_join,
    "label_replace": _label_replace,
    "pi": _constant("pi"),
    "scalar": lambda compiler, arguments: functions.ToScalar(compiler.node(arguments[0])),
    "sort": lambda compiler, arguments: functions.AsIs(compiler.node(arguments[0])),
    "sort_desc": lambda compiler, arguments: functions.AsIs(compiler.node(arguments[0])),
    "time": _constant("time"),
    "timestamp": lambda compiler, arguments: functions.Timestamp(compiler.node(_unwrapped(arguments[0]))),
    "vector": lambda compiler, arguments: functions.ToVector(compiler.node(arguments[0])),
}


def _naked_range(_compiler: Compiler, expression: Any) -> Node:
    raise PromQLError(
        f"a range vector as a result is not supported, apply a function to {expression.prettify()}"
    )


def _subquery(_compiler: Compiler, expression: Any) -> Node:
    raise PromQLError(f"subqueries are not supported: {expression.prettify()}")


_BY_TYPE: dict[type, Callable[[Compiler, Any], Node]] = {
    ast.NumberLiteral: lambda _compiler, expression: Literal(float(expression.val)),
    ast.StringLiteral: lambda _compiler, expression: Literal(expression.val),
    ast.ParenExpr: lambda compiler, expression: compiler.node(expression.expr),
    ast.UnaryExpr: lambda compiler, expression: Negation(compiler.node(expression.expr)),
    ast.VectorSelector: lambda compiler, expression: compiler.instant(expression),
    ast.MatrixSelector: _naked_range,
    ast.SubqueryExpr: _subquery,
    ast.BinaryExpr: _binary,
    ast.AggregateExpr: _aggregate,
    ast.Call: _call,
}
