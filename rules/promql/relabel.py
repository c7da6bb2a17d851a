"""`label_replace` and `label_join`: functions that rewrite labels and leave the values alone."""

from __future__ import annotations

import re
from collections.abc import Callable

import re2

from model.labels import Labels
from rules.promql.context import Context
from rules.promql.errors import PromQLError
from rules.promql.frame import Column, Frame
from rules.promql.node import Node, column

Rewrite = Callable[[Labels], Labels]

_REFERENCE = re.compile(r"\$(?:\$|(\w+)|\{(\w+)\})")


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
        regex = re2.compile(f"^(?s:{pattern})$", _quiet())
    except re2.error as error:
        raise PromQLError(
            f"label_replace: RE2 refuses the regular expression {pattern!r}: {error}"
        ) from error
    if not target:
        raise PromQLError("label_replace: the name of the destination label is empty")

    def rewrite(labels: Labels) -> Labels:
        found = regex.match(labels.value(source))
        return labels if found is None else labels.merged({target: _expand(replacement, found)})

    return rewrite


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _expand(template: str, found: re2._Match[str]) -> str:
    """`$1`, `${1}`, `$name` and `$$` as Go's Regexp.Expand; a group that is not there is empty."""

    def value(reference: re.Match[str]) -> str:
        name = reference[1] or reference[2]
        if name is None:
            return "$"
        try:
            return found.group(int(name) if name.isdigit() else name) or ""
        except (IndexError, KeyError, re2.error):
            return ""

    return _REFERENCE.sub(value, template)


def joining(target: str, separator: str, sources: list[str]) -> Rewrite:
    """`label_join(v, target, separator, source...)`."""
    if not target:
        raise PromQLError("label_join: the name of the destination label is empty")
    return lambda labels: labels.merged({target: separator.join(map(labels.value, sources))})
