"""Reading promql_parser's tree: children, constants, comparisons, and what an expression is a size of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import promql_parser as ast

from model.labels import NAME

COMPARISONS = (">", "<", ">=", "<=", "==", "!=")
SETS = ("and", "or", "unless")
_MIRRORED = {">": "<", "<": ">", ">=": "<=", "<=": ">="}


class Place(NamedTuple):
    """A node and the nodes above it, the outermost first."""

    node: Any
    above: tuple[Any, ...]


def children(node: Any) -> list[Any]:
    """The nodes directly below one."""
    if isinstance(node, ast.BinaryExpr):
        return [node.lhs, node.rhs]
    if isinstance(node, ast.AggregateExpr):
        return [node.expr] if node.param is None else [node.param, node.expr]
    if isinstance(node, ast.Call):
        return list(node.args)
    if isinstance(node, ast.MatrixSelector):
        return [node.vector_selector]
    if isinstance(node, ast.ParenExpr | ast.UnaryExpr | ast.SubqueryExpr):
        return [node.expr]
    return []


def places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[Place]:
    """Every node of a tree, the outer ones first."""
    yield Place(node, above)
    for child in children(node):
        yield from places(child, (*above, node))


def selectors(node: Any) -> list[Any]:
    """The vector selectors in a tree, those inside of ranges among them."""
    return [place.node for place in places(node) if isinstance(place.node, ast.VectorSelector)]


def calls(node: Any, *names: str) -> list[Any]:
    """The calls of these functions in a tree."""
    return [p.node for p in places(node) if isinstance(p.node, ast.Call) and p.node.func.name in names]


def metric(selector: Any) -> str:
    """The metric name that a selector asks for, "" if it asks for none or for several."""
    if selector.name:
        return str(selector.name)
    return next((m.value for m in selector.matchers.matchers if m.name == NAME and op_of(m) == "="), "")


def op_of(matcher: Any) -> str:
    """`=`, `!=`, `=~` or `!~`."""
    return {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}[str(matcher.op).rpartition(".")[2]]


def bare(node: Any) -> Any:
    """The node inside of parentheses."""
    while isinstance(node, ast.ParenExpr):
        node = node.expr
    return node


def constant(node: Any) -> float | None:
    """The number that an expression of literals is, None if it has anything else in it."""
    node = bare(node)
    if isinstance(node, ast.NumberLiteral):
        return float(node.val)
    if isinstance(node, ast.UnaryExpr):
        inner = constant(node.expr)
        return None if inner is None else -inner
    if isinstance(node, ast.BinaryExpr):
        left, right = constant(node.lhs), constant(node.rhs)
        if left is None or right is None:
            return None
        return _computed(str(node.op), left, right)
    return None


def is_scalar(node: Any) -> bool:
    """Whether it is one number without labels, of literals, `time()` and `scalar()`."""
    node = bare(node)
    if isinstance(node, ast.BinaryExpr):
        return is_scalar(node.lhs) and is_scalar(node.rhs)
    if isinstance(node, ast.UnaryExpr):
        return is_scalar(node.expr)
    called = isinstance(node, ast.Call) and node.func.name in ("time", "scalar", "pi")
    return called or isinstance(node, ast.NumberLiteral)


def _computed(op: str, left: float, right: float) -> float | None:
    if op == "/":
        return left / right if right else None
    return {"*": left * right, "+": left + right, "-": left - right}.get(op)


@dataclass(frozen=True, slots=True)
class Comparison:
    """`operand op value`, turned around where the number stands on the left."""

    operand: Any
    op: str
    value: float
    above: tuple[Any, ...]

    @property
    def guards(self) -> bool:
        """Whether it only lets another expression through, or not."""
        return any(
            isinstance(node, ast.BinaryExpr) and str(node.op) in ("and", "unless") for node in self.above
        )


def comparisons(node: Any) -> Iterator[Comparison]:
    """The comparisons with a number in a tree."""
    for place in places(node):
        if not isinstance(place.node, ast.BinaryExpr) or str(place.node.op) not in COMPARISONS:
            continue
        op, left, right = str(place.node.op), constant(place.node.lhs), constant(place.node.rhs)
        if right is not None and left is None:
            yield Comparison(place.node.lhs, op, right, place.above)
        elif left is not None and right is None:
            yield Comparison(place.node.rhs, _MIRRORED.get(op, op), left, place.above)


_SAME_SIZE = (
    *("avg_over_time", "max_over_time", "min_over_time", "last_over_time", "quantile_over_time"),
    *("abs", "round", "ceil", "floor", "clamp", "clamp_min", "clamp_max"),
    *("label_replace", "label_join", "sort", "sort_desc"),
)
_SAME_SIZE_AGGREGATIONS = ("max", "min", "avg", "quantile", "topk", "bottomk")


def inner(node: Any) -> tuple[Any, float] | None:
    """What a node is a size of, and how many times as large it is; None if it is no mere change of size.

    `100 * max by (node) (x)` is 100 times x, `max_over_time(x[5m])` once.
    """
    if isinstance(node, ast.ParenExpr | ast.SubqueryExpr):
        return node.expr, 1.0
    if isinstance(node, ast.MatrixSelector):
        return node.vector_selector, 1.0
    if isinstance(node, ast.AggregateExpr):
        return (node.expr, 1.0) if str(node.op) in _SAME_SIZE_AGGREGATIONS else None
    if isinstance(node, ast.Call) and node.func.name in _SAME_SIZE:
        return node.args[1 if node.func.name == "quantile_over_time" else 0], 1.0
    if isinstance(node, ast.BinaryExpr):
        return _scaled(node)
    return None


def _scaled(node: Any) -> tuple[Any, float] | None:
    op, left, right = str(node.op), constant(node.lhs), constant(node.rhs)
    if op in ("and", "unless") or (op in COMPARISONS and not (node.modifier and node.modifier.return_bool)):
        return (node.lhs, 1.0) if left is None else (node.rhs, 1.0)
    if op == "*" and right is not None:
        return node.lhs, right
    if op == "*" and left is not None:
        return node.rhs, left
    if op == "/" and right:
        return node.lhs, 1 / right
    return None
