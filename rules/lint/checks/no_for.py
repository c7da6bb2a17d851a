"""Alerts that one sample can raise."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as ast

from model.alert import Tier
from rules.lint import syntax
from rules.lint.finding import Remark, info, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule
from rules.promql.scrapes import Span


@register(
    "no-for",
    "warning, info",
    "an alert without `for` on values of one moment",
    "One odd sample, or one failed scrape, raises it. A rule that looks over a range has its duration "
    "there, and is left alone, and so is one that reads other alerts. For P0 it is an info: a disaster is "
    "answered in seconds, and its expression is where false alarms are kept out. So it is for P3.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """Whether neither `for` nor a range stands between a sample and the alert."""
    read = [syntax.metric(selector) for selector in syntax.selectors(rule.expression)]
    if not rule.alerting or rule.hold != Span() or all(name == "ALERTS" for name in read):
        return
    if not _looks_back(rule, around):
        remark = warning if rule.tier in (Tier.P1, Tier.P2) else info
        sentence = "one sample can raise this alert: it has no `for` and no range"
        yield remark(sentence, "add `for: $scrapes(2)` or more")


def _looks_back(rule: LintedRule, around: Surroundings) -> bool:
    read = [rule.expression]
    for selector in around.read_by(rule.expression):
        recorded = around.recorded(selector)
        read += [recorded.expression] if recorded else []
    return any(
        isinstance(place.node, ast.MatrixSelector | ast.SubqueryExpr)
        for expression in read
        for place in syntax.places(expression)
    )
