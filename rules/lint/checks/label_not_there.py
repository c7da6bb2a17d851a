"""Labels that the result of an expression never has."""

from __future__ import annotations

import re
from collections.abc import Iterator

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, warning
from rules.lint.labels import labels_of
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule

_IN_TEMPLATE = re.compile(r"\$labels\.([A-Za-z_]\w*)")


@register(
    "label-not-there",
    "warning",
    "a label in `by` or in a template that the expression has dropped",
    '`absent(x{job="a"})` has the label job and no other, `sum by (job)` likewise: `$labels.instance` is '
    "then an empty text, and `by (instance)` one group for all.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The labels that are asked for and cannot be there."""
    for place in syntax.places(rule.expression):
        node = place.node
        if isinstance(node, ast.AggregateExpr) and node.modifier is not None:
            inside = labels_of(node.expr, around)
            if inside is not None and str(node.modifier.type).endswith("By"):
                for name in sorted(set(node.modifier.labels) - inside):
                    yield warning(f"{node.op} by ({name}): what it adds up has no label {name}", _has(inside))
    known = labels_of(rule.expression, around)
    if known is None or not rule.alerting:
        return
    texts = " ".join([*rule.annotations.values(), *rule.labels.values()])
    for name in sorted(set(_IN_TEMPLATE.findall(texts)) - known):
        yield warning(f"$labels.{name} is always empty: the expression has no label {name}", _has(known))


def _has(known: frozenset[str]) -> str:
    return f"its labels are {', '.join(sorted(known))}" if known else "it has no labels at all"
