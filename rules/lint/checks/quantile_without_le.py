"""`histogram_quantile` of what has lost its buckets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, error
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


@register(
    "quantile-without-le",
    "error",
    "`histogram_quantile` of an aggregation that drops `le`",
    "Without the label `le` there are no buckets, and the result is empty: the alert never fires.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The quantiles whose operand has no `le`."""
    for call in syntax.calls(rule.expression, "histogram_quantile"):
        aggregation = syntax.bare(call.args[1])
        buckets = any(syntax.metric(each).endswith("_bucket") for each in syntax.selectors(aggregation))
        if isinstance(aggregation, ast.AggregateExpr) and buckets and not _keeps_le(aggregation):
            yield error(
                f"histogram_quantile() finds no buckets: {aggregation.op} drops the label le",
                "write `sum by (le, ...) (rate(x_bucket[5m]))`",
            )


def _keeps_le(aggregation: Any) -> bool:
    if aggregation.modifier is None:
        return False
    by = str(aggregation.modifier.type).endswith("By")
    return ("le" in aggregation.modifier.labels) == by
