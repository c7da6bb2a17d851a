"""`label_replace` and `label_join`: functions that rewrite labels and leave the values alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from model.labels import NAME, Labels
from rules.promql.context import Context
from rules.promql.errors import PromQLError
from rules.promql.frame import Bools, Column, Frame
from rules.promql.node import Node, column
from telemetry.matching import InvalidMatcher, expand, expression

Rewrite = Callable[[Labels], Labels | None]
"""None where the labels stay as they are."""


class Relabelled:
    """A vector under rewritten labels; they are rewritten once a frame."""

    def __init__(self, operand: Node, target: str, rewrite: Rewrite) -> None:
        self._operand = operand
        self._names = target == NAME
        self._rewrite = rewrite
        self._rewritten: tuple[Frame, Frame, Bools] | None = None

    def evaluate(self, context: Context) -> Column:
        """The same values; EvaluationError if two rows become alike. A name that is written stays."""
        vector = column(self._operand, context)
        if self._rewritten is None or self._rewritten[0] is not vector.frame:
            self._rewritten = vector.frame, *self._work(vector.frame)
        _, frame, written = self._rewritten
        dropped = vector.dropped & ~written if self._names else vector.dropped
        return Column(frame, vector.values, vector.present, dropped).checked()

    def _work(self, frame: Frame) -> tuple[Frame, Bools]:
        found = [self._rewrite(row) for row in frame]
        labels = [row if new is None else new for row, new in zip(frame, found, strict=True)]
        return Frame(labels, frame.intervals), np.array([new is not None for new in found], dtype=np.bool_)


def replacing(target: str, replacement: str, source: str, pattern: str) -> Rewrite:
    """`label_replace(v, target, replacement, source, pattern)`. Raises PromQLError for a bad pattern."""
    try:
        regex = expression(pattern)
    except InvalidMatcher as error:
        raise PromQLError(f"label_replace: {error}") from error
    if not target:
        raise PromQLError("label_replace: the name of the destination label is empty")

    def rewrite(labels: Labels) -> Labels | None:
        found = regex.fullmatch(labels.value(source))
        return None if found is None else labels.merged({target: expand(replacement, found)})

    return rewrite


def joining(target: str, separator: str, sources: list[str]) -> Rewrite:
    """`label_join(v, target, separator, source...)`."""
    if not target:
        raise PromQLError("label_join: the name of the destination label is empty")
    return lambda labels: labels.merged({target: separator.join(map(labels.value, sources))})
