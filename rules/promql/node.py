"""A node of a compiled expression."""

from __future__ import annotations

from typing import Protocol

from rules.promql.context import Context
from rules.promql.errors import EvaluationError
from rules.promql.frame import Column, Value


class Node(Protocol):
    """Something that has a value at a moment. A node remembers label work between evaluations."""

    def evaluate(self, context: Context) -> Value:
        """Its value; raises EvaluationError where the data allow no answer."""
        ...


class Literal:
    """A number or a string."""

    def __init__(self, value: float | str) -> None:
        self.value = value

    def evaluate(self, context: Context) -> Value:
        """Itself."""
        return self.value


def number(node: Node, context: Context) -> float:
    """The scalar that `node` evaluates to; the parser has checked that it is one."""
    value = node.evaluate(context)
    if not isinstance(value, float):
        raise EvaluationError(f"expected a scalar, got {type(value).__name__}")
    return value


def column(node: Node, context: Context) -> Column:
    """The instant vector that `node` evaluates to."""
    value = node.evaluate(context)
    if not isinstance(value, Column):
        raise EvaluationError(f"expected an instant vector, got {type(value).__name__}")
    return value
