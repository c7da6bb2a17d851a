"""A counter compared with a number as it stands."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


@register(
    "counter-threshold",
    "warning",
    "a counter compared with a number, without `rate` or `increase`",
    "A counter counts since its process started: the comparison depends on when that was, and once true it "
    "stays true until the next restart. `> 0` as a guard beside `and` is left alone.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The comparisons whose left side is a counter, summed or not."""
    for comparison in syntax.comparisons(rule.expression):
        node = _summed(comparison.operand)
        if not isinstance(node, ast.VectorSelector) or (comparison.guards and comparison.value == 0):
            continue
        name = syntax.metric(node)
        if around.metrics.type_of(name) == "counter" and name not in around.records:
            yield warning(
                f"{name} is a counter: {comparison.op} {comparison.value:g} compares its whole life",
                f"compare increase({name}[5m]) or rate({name}[5m])",
            )


def _summed(node: object) -> object:
    while True:
        node = syntax.bare(node)
        if isinstance(node, ast.AggregateExpr) and str(node.op) in ("sum", "max", "min", "avg"):
            node = node.expr
        else:
            return node
