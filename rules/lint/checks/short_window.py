"""Ranges that hold too few samples."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import promql_parser as ast

from model.moment import format_duration
from rules.lint import syntax
from rules.lint.finding import Remark, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule
from rules.promql.scrapes import span_of

_NEEDED = {
    **dict.fromkeys(("rate", "increase", "delta", "deriv", "predict_linear", "changes", "resets"), 4),
    **dict.fromkeys(("irate", "idelta"), 2),
}


@register(
    "short-window",
    "warning",
    "`rate` and its kin over less than four scrapes",
    "They need two samples, and a scrape that comes late or fails leaves fewer: then there is no result. "
    "Counted with `--scrape-interval`; a range of `$scrapes(4)` is right for every target.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The ranges that are too short for their function."""
    for call in syntax.calls(rule.expression, *_NEEDED):
        operand = syntax.bare(call.args[0])
        if not isinstance(operand, ast.MatrixSelector):
            continue
        span, needed = span_of(operand.range // timedelta(milliseconds=1)), _NEEDED[call.func.name]
        least = needed * around.scrape_interval
        if span.at(around.scrape_interval) < least:
            yield warning(
                f"{call.func.name}() over {span} holds fewer than {needed} scrapes of "
                f"{format_duration(around.scrape_interval)}",
                f"take [$scrapes({needed})] or at least {format_duration(least)}",
            )
