"""Buckets of different servers added up."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, info
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule

_KEEP_APART = {"instance", "pod", "model_name"}


@register(
    "mixed-buckets",
    "info",
    "`sum by (le)` over models, of a histogram whose edges follow max_model_len",
    "Servers of different models have different edges (1, 2, 5 up to the longest context), and a sum over "
    "them is no histogram of anything.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The sums by `le` that keep neither the server nor the model apart."""
    for place in syntax.places(rule.expression):
        node = place.node
        if not isinstance(node, ast.AggregateExpr) or node.modifier is None:
            continue
        labels = set(node.modifier.labels)
        if not str(node.modifier.type).endswith("By") or "le" not in labels or labels & _KEEP_APART:
            continue
        for selector in syntax.selectors(node):
            family = around.metrics.family(syntax.metric(selector))
            if family is not None and family.buckets_vary:
                yield info(
                    f"the edges of {family.name} differ between models, and are added up here",
                    "add model_name to the `by`",
                )
