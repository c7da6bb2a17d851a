"""Which labels the result of an expression can have."""

from __future__ import annotations

from typing import Any

import promql_parser as ast

from rules.lint import syntax
from rules.lint.registry import Surroundings

Known = frozenset[str] | None
"""All labels that a result can have; None if that depends on the series."""


def labels_of(node: Any, around: Surroundings, depth: int = 4) -> Known:
    """The labels that the rows of an expression can have, as far as its text says it.

    Aggregations, `on` and `absent()` decide them; a selector has what its series have.
    """
    node = syntax.bare(node)
    if isinstance(node, ast.AggregateExpr):
        return _aggregated(node, around, depth)
    if isinstance(node, ast.Call):
        return _called(node, around, depth)
    if isinstance(node, ast.BinaryExpr):
        return _combined(node, around, depth)
    if isinstance(node, ast.UnaryExpr | ast.SubqueryExpr):
        return labels_of(node.expr, around, depth)
    if isinstance(node, ast.MatrixSelector):
        return labels_of(node.vector_selector, around, depth)
    if isinstance(node, ast.VectorSelector):
        rule = around.recorded(node) if depth else None
        inside = labels_of(rule.expression, around, depth - 1) if rule else None
        return None if rule is None or inside is None else inside | rule.labels.keys()
    return frozenset()


def _aggregated(node: Any, around: Surroundings, depth: int) -> Known:
    operand = labels_of(node.expr, around, depth)
    if str(node.op) in ("topk", "bottomk", "limitk", "limit_ratio"):
        return operand
    named = frozenset(node.modifier.labels if node.modifier else ())
    if node.modifier is None or str(node.modifier.type).endswith("By"):
        found = named
    elif operand is None:
        return None
    else:
        found = operand - named
    return found | {node.param.val} if str(node.op) == "count_values" else found


def _called(node: Any, around: Surroundings, depth: int) -> Known:
    name, arguments = node.func.name, node.args
    if name in ("absent", "absent_over_time"):
        return absent_labels(arguments[0])
    if name in ("vector", "time", "scalar", "pi"):
        return frozenset()
    if name == "histogram_quantile":
        operand = labels_of(arguments[1], around, depth)
        return operand - {"le"} if operand is not None else None
    if not arguments:
        return None
    operand = labels_of(arguments[1 if name == "quantile_over_time" else 0], around, depth)
    if name in ("label_replace", "label_join"):
        return operand | {arguments[1].val} if operand is not None else None
    return operand


def absent_labels(operand: Any) -> Known:
    """The labels of `absent(operand)`: those that its selector asks to be equal to a text."""
    operand = syntax.bare(operand)
    if isinstance(operand, ast.MatrixSelector):
        operand = operand.vector_selector
    if not isinstance(operand, ast.VectorSelector):
        return frozenset()
    return frozenset(m.name for m in operand.matchers.matchers if syntax.op_of(m) == "=" and m.value)


def _combined(node: Any, around: Surroundings, depth: int) -> Known:
    op = str(node.op)
    if syntax.is_scalar(node.lhs):
        return labels_of(node.rhs, around, depth)
    left = labels_of(node.lhs, around, depth)
    if syntax.is_scalar(node.rhs) or op in ("and", "unless"):
        return left
    right = labels_of(node.rhs, around, depth)
    if op == "or":
        return left | right if left is not None and right is not None else None
    return _matched(node.modifier, left, right)


def _matched(modifier: Any, left: Known, right: Known) -> Known:
    """The labels of a calculation or comparison of two vectors."""
    if modifier is None or modifier.matching is None:
        return left if left is not None else right
    cardinality = str(modifier.card).rpartition(".")[2]
    if cardinality != "OneToOne":
        many = left if cardinality == "ManyToOne" else right
        return many | set(modifier.group_labels or ()) if many is not None else None
    named = frozenset(modifier.matching.labels)
    if str(modifier.matching.type).endswith("Include"):
        return named
    return left - named if left is not None else None
