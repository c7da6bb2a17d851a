"""`rate()` of what goes up and down."""

from __future__ import annotations

from collections.abc import Iterator

from rules.lint import syntax
from rules.lint.finding import Remark, error, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


@register(
    "rate-of-gauge",
    "error, warning",
    "`rate`, `irate` or `increase` of a gauge",
    "Each fall of a gauge looks like a restart of a counter and is added. A metric that is known to be a "
    "gauge is an error, one that is only named like one a warning.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The calls whose metric is a gauge."""
    for call in syntax.calls(rule.expression, "rate", "irate", "increase"):
        for selector in syntax.selectors(call):
            name, function = syntax.metric(selector), call.func.name
            if around.metrics.type_of(name) != "gauge" or name in around.records:
                continue
            family = around.metrics.family(name)
            remark = error if family else warning
            use = "delta() or deriv()" if function != "increase" else "delta() or changes()"
            if family is not None and family.latched:
                use = "changes(), which sees a new code but not the same one again"
            sentence = f"{name} is a gauge: {function}() takes each fall for a restart of a counter"
            yield remark(sentence, f"use {use}")
