"""Two rules that make one alert."""

from __future__ import annotations

from collections.abc import Iterator

from rules.lint.finding import Remark, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


@register(
    "same-alert",
    "warning",
    "two rules with the same alert name and the same labels",
    "Where both find the same series they are one alert to whoever receives it: when one resolves, it "
    "resolves the other's.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The first rule before this one that has its name and labels."""
    for other in around.rules if rule.alerting else ():
        if other is rule:
            return
        if other.alerting and (other.name, other.labels) == (rule.name, rule.labels):
            yield warning(
                f"group {other.group} of {other.file} has an alert with this name and these labels",
                "give one of them another name or another label",
            )
            return
