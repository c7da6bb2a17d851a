"""Alerts that say nothing to the person."""

from __future__ import annotations

from collections.abc import Iterator

from rules.lint.finding import Remark, info, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


@register(
    "no-summary",
    "warning, info",
    "an alert without the annotation `summary`",
    "It is the first line of every notification. Where a `description` or `message` stands it is an info.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """Whether the annotation is missing."""
    if not rule.alerting or rule.annotations.get("summary"):
        return
    remark = info if rule.annotations.keys() & {"description", "message"} else warning
    yield remark("has no summary for the person who gets it", "add the annotation summary")
