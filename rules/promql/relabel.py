"""`label_replace` and `label_join`: functions that rewrite labels and leave the values alone."""

from __future__ import annotations

from collections.abc import Callable

from model.labels import Labels
from rules.promql.context import Context
from rules.promql.errors import PromQLError
from rules.promql.frame import Column, Frame
from rules.promql.node import Node, column
from telemetry.matching import InvalidMatcher, expand, expression

Rewrite = Callable[[Labels], Labels]


class Relabelled:
    """A vector under rewritten labels; they are rewritten once a frame."""

    def __init__(self, operand: Node, rewrite: Rewrite) -> None:
        self._operand = operand
        self._rewrite = rewrite
        self._rewritten: tuple[Frame, Frame] | None = None

    def evaluate(self, context: Context) -> Column:
        """The same values; EvaluationError if two rows become alike."""
        vector = column(self._operand, context)
        if self._rewritten is None or self._rewritten[0] is not vector.frame:
            labels = [self._rewrite(row) for row in vector.frame]
            self._rewritten = vector.frame, Frame(labels, vector.frame.intervals)
        return Column(self._rewritten[1], vector.values, vector.present).checked()


def replacing(target: str, replacement: str, source: str, pattern: str) -> Rewrite:
    """`label_replace(v, target, replacement, source, pattern)`. Raises PromQLError for a bad pattern."""
    try:
        regex = expression(pattern)
    except InvalidMatcher as error:
        raise PromQLError(f"label_replace: {error}") from error
    if not target:
        raise PromQLError("label_replace: the name of the destination label is empty")

    def rewrite(labels: Labels) -> Labels:
        found = regex.fullmatch(labels.value(source))
        return labels if found is None else labels.merged({target: expand(replacement, found)})

    return rewrite


def joining(target: str, separator: str, sources: list[str]) -> Rewrite:
    """`label_join(v, target, separator, source...)`."""
    if not target:
        raise PromQLError("label_join: the name of the destination label is empty")
    return lambda labels: labels.merged({target: separator.join(map(labels.value, sources))})
