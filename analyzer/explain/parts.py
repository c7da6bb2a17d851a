"""An expression taken apart: what each part of it is worth, for one alert."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import promql_parser as ast

from analyzer.api.errors import ApiError
from analyzer.api.evaluation import Evaluation
from analyzer.formats import format_value
from analyzer.pipeline import Pipeline
from model.labels import NAME, Labels, format_labels
from model.moment import format_moment
from rules.promql.answer import Answer, Matrix, Scalar, Vector
from rules.promql.context import Notes
from rules.promql.errors import PromQLError
from rules.promql.expression import parse
from rules.promql.tree import parsed

SHOWN = 5
"""So many series of a part are shown, those of the alert first; the rest is counted."""

MOST_PARTS = 40
"""So many parts of an expression are evaluated; larger ones are cut, and say so."""

_SCRAPES = re.compile(r"\[(\d{1,3})000y\]")
"""How a parsed expression spells `[$scrapes(n)]`."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its text, how deep it stands in the whole, and what it was worth at `at` (ms)."""

    expression: str
    depth: int
    at: int
    series: list[tuple[str, str]] = field(default_factory=list)
    more: int = 0
    note: str = ""

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "expression": self.expression,
            "depth": self.depth,
            "at": format_moment(self.at),
            "series": [{"series": series, "value": value} for series, value in self.series],
            "more": self.more,
            "note": self.note,
        }


def parts_of(pipeline: Pipeline, text: str, at: int, source: Labels) -> list[Part]:
    """The expression and each of its parts, evaluated at `at` (ms); series that fit `source` come first."""
    try:
        nodes = list(_nodes(parsed(text), 0))
    except PromQLError as error:
        return [Part(text, 0, at, note=str(error))]
    found = [_part(pipeline, _text(node), depth, at, source) for node, depth in nodes[:MOST_PARTS]]
    if len(nodes) > MOST_PARTS:
        found.append(Part("...", 0, at, note=f"{len(nodes) - MOST_PARTS} more parts are not shown"))
    return found


def _nodes(node: Any, depth: int) -> Iterator[tuple[Any, int]]:
    """The nodes that have a value to show, each before its parts; numbers speak for themselves."""
    if isinstance(node, ast.ParenExpr):
        yield from _nodes(node.expr, depth)
        return
    if isinstance(node, ast.NumberLiteral | ast.StringLiteral):
        return
    yield node, depth
    for child in _children(node):
        yield from _nodes(child, depth + 1)


def _children(node: Any) -> Sequence[Any]:
    if isinstance(node, ast.BinaryExpr):
        return (node.lhs, node.rhs)
    if isinstance(node, ast.AggregateExpr):
        return (node.expr,)
    if isinstance(node, ast.Call):
        return list(node.args)
    if isinstance(node, ast.UnaryExpr | ast.SubqueryExpr):
        return (node.expr,)
    return ()


def _text(node: Any) -> str:
    return _SCRAPES.sub(r"[$scrapes(\1)]", str(node.prettify()))


def _part(pipeline: Pipeline, text: str, depth: int, at: int, source: Labels) -> Part:
    shown = " ".join(text.split())
    evaluation: Evaluation | None = None
    try:
        notes = Notes()
        evaluation = Evaluation(pipeline.window, parse(text), pipeline.settings.rules.options(), notes)
        rows = list(_rows(evaluation.instant(at)))
    except (PromQLError, ApiError) as error:
        return Part(shown, depth, at, note=str(error))
    finally:
        if evaluation is not None:
            evaluation.close()
    rows.sort(key=lambda row: -_likeness(row[0], source))
    fitting = [(format_labels(labels) or "{}", value) for labels, value in rows[:SHOWN]]
    return Part(shown, depth, at, fitting, max(0, len(rows) - SHOWN), "" if rows else "no series")


def _likeness(labels: Labels, source: Labels) -> int:
    """How many labels agree with the alert's; one that contradicts it weighs more than all."""
    shared = [value == source.value(name) for name, value in labels.pairs if name != NAME and name in source]
    return sum(shared) - 100 * shared.count(False)


def _rows(answer: Answer) -> Iterator[tuple[Labels, str]]:
    if isinstance(answer, str):
        yield Labels(), answer
    elif isinstance(answer, Scalar):
        yield Labels(), format_value(answer.value)
    elif isinstance(answer, Vector):
        for labels, value in zip(answer.labels, answer.values.tolist(), strict=True):
            yield labels, format_value(value)
    elif isinstance(answer, Matrix):
        for labels, times, values in answer.series():
            if len(times):
                ends = f"{format_value(float(values[0]))} ... {format_value(float(values[-1]))}"
                yield labels, f"{len(times)} samples: {ends}"
