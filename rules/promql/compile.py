"""From the parser's AST to nodes. What is not supported is said here, by name, before anything runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import promql_parser as ast

from model.labels import NAME
from model.matcher import Matcher, Op
from rules.promql.aggregation import REDUCTIONS, Aggregation, CountValues, Quantile, Ranking
from rules.promql.binary import ARITHMETIC, COMPARISONS, Binary, Negation
from rules.promql.calls import call
from rules.promql.errors import PromQLError, Unsupported
from rules.promql.matching import Matching, SetOperator
from rules.promql.node import Literal, Node
from rules.promql.scrapes import Span, span_of
from rules.promql.selectors import InstantSelector, RangeSelector, Series, When
from rules.promql.subquery import Subquery
from rules.promql.tree import aliased, matchers_of, milliseconds, unwrapped, when_of
from rules.promql.windows import RangeReader


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
    makes_vectors: bool = False
    """Whether vector(), or a date of the present, makes rows out of a number."""
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
        if not expression.param.val:
            raise PromQLError("count_values: the name of the label is empty")
        return CountValues(expression.param.val, operand, by, labels)
    raise Unsupported(f"the aggregation {op} is not supported: {expression.prettify()}")


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
    ast.Call: call,
}
