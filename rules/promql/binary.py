"""Operators between two values: arithmetic and comparison."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rules.promql.context import Context
from rules.promql.errors import EvaluationError
from rules.promql.frame import Bools, Column, Floats, Value
from rules.promql.matching import Join, Matching
from rules.promql.node import Node

Operator = Callable[[Any, Any], Any]

ARITHMETIC: dict[str, Operator] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "%": np.fmod,
    "^": np.power,
    "atan2": np.arctan2,
}
COMPARISONS: dict[str, Operator] = {
    "==": np.equal,
    "!=": np.not_equal,
    ">": np.greater,
    "<": np.less,
    ">=": np.greater_equal,
    "<=": np.less_equal,
}


class Binary:
    """`left op right`; a comparison filters, unless `bool` asks for 0 or 1."""

    def __init__(self, op: str, left: Node, right: Node, matching: Matching, return_bool: bool) -> None:
        self._arithmetic = ARITHMETIC.get(op)
        self._compare = COMPARISONS.get(op)
        self._left = left
        self._right = right
        self._bool = return_bool
        self._drops_name = self._arithmetic is not None or return_bool
        self._join = Join(matching, self._drops_name)

    def evaluate(self, context: Context) -> Value:
        """A number if both sides are numbers, else a vector."""
        left, right = self._left.evaluate(context), self._right.evaluate(context)
        with np.errstate(all="ignore"):
            if isinstance(left, Column) and isinstance(right, Column):
                return self._vectors(left, right)
            if isinstance(left, Column) and isinstance(right, float):
                return self._with_scalar(left, left.values, right)
            if isinstance(left, float) and isinstance(right, Column):
                return self._with_scalar(right, left, right.values)
            if isinstance(left, float) and isinstance(right, float):
                return float(self._combine(np.float64(left), np.float64(right), np.float64(left))[0])
        raise EvaluationError("an operator stands between vectors and numbers only")

    def _combine(self, left: Any, right: Any, kept: Any) -> tuple[Any, Any]:
        """The values of the operation and where it holds; a filter answers with the values `kept`."""
        if self._arithmetic is not None:
            return self._arithmetic(left, right), True
        assert self._compare is not None
        holds = self._compare(left, right)
        return (np.where(holds, 1.0, 0.0), True) if self._bool else (kept, holds)

    def _with_scalar(self, vector: Column, left: Any, right: Any) -> Column:
        values, holds = self._combine(left, right, vector.values)
        return Column(vector.frame, values, vector.present & holds, self._drops_name or vector.dropped)

    def _vectors(self, left: Column, right: Column) -> Column:
        def operate(left_values: Floats, right_values: Floats) -> tuple[Floats, Bools | bool]:
            return self._combine(left_values, right_values, left_values)

        return self._join.apply(left, right, operate)


class Negation:
    """Unary minus."""

    def __init__(self, operand: Node) -> None:
        self._operand = operand

    def evaluate(self, context: Context) -> Value:
        """The value with its sign turned; a vector loses its name."""
        value = self._operand.evaluate(context)
        if isinstance(value, Column):
            return Column(value.frame, -value.values, value.present, True)
        if isinstance(value, float):
            return -value
        raise EvaluationError("a string has no negative")
