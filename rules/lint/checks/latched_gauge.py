"""A gauge that keeps its last event, read as if the event were now."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, error
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


@register(
    "latched-gauge",
    "error",
    "an alert on `DCGM_FI_DEV_XID_ERRORS > 0`, `!= 0`, `== 79` or on the bare gauge",
    "The gauge holds the code of the last XID until the driver is loaded again: the alert goes on after the "
    "repair. With `changes()` of the same gauge in the expression it is an event, and fine.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The latched gauges that an alert compares or takes as they are."""
    if not rule.alerting:
        return
    compared = [comparison.operand for comparison in syntax.comparisons(rule.expression)]
    for name in sorted({_latched(operand, around) for operand in (rule.expression, *compared)} - {""}):
        if not _asks_what_is_new(rule.expression, name):
            yield error(
                f"{name} keeps the last code after the fault is over, so the alert never resolves",
                f"add `and changes({name}[5m]) > 0`, or count XID events instead",
            )


def _latched(operand: Any, around: Surroundings) -> str:
    node, _ = around.core(operand)
    while isinstance(node, ast.AggregateExpr):
        node, _ = around.core(node.expr)
    family = around.metrics.family(syntax.metric(node)) if isinstance(node, ast.VectorSelector) else None
    return family.name if family is not None and family.latched else ""


def _asks_what_is_new(expression: Any, name: str) -> bool:
    """Whether it looks for a change of the gauge, or compares it with its past."""
    changing = [
        s for call in syntax.calls(expression, "changes", "delta", "idelta") for s in syntax.selectors(call)
    ]
    past = [selector for selector in syntax.selectors(expression) if selector.offset is not None]
    return any(syntax.metric(selector) == name for selector in (*changing, *past))
