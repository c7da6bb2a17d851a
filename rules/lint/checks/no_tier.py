"""Alerts that do not say how urgent they are."""

from __future__ import annotations

from collections.abc import Iterator

from rules.lint.finding import Remark, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


@register(
    "no-tier",
    "warning",
    "an alert with neither `tier` nor `severity`",
    "It counts as P3, so nobody is woken by it.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """Whether both labels are missing."""
    if rule.alerting and not rule.labels.keys() & {"tier", "severity"}:
        yield warning(
            "says neither tier nor severity, and counts as P3", "add the label tier: P0, P1, P2 or P3"
        )
