"""The weight of people's feedback in what must not depend on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from model.alert import Tier
from rules.lint import syntax
from rules.lint.finding import Remark, error
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule
from rules.weight import WEIGHT, may_find, may_select

_ALERTS = ("ALERTS", "ALERTS_FOR_STATE")


@register(
    "weight-decides",
    "error",
    "`fleetowl_anomaly_weight` in a rule of tier P0 or P1, also through a recording rule, through the alert "
    "of another rule, or through a selector that names no metric",
    "The weight is what people said of earlier alerts. It may quiet P2 and P3; what wakes somebody must "
    "not fall silent because others like it were marked as noise.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """Whether an urgent alert reads the weight."""
    if not rule.alerting or rule.tier > Tier.P1 or not _reads(rule.expression, around.rules):
        return
    yield error(
        f"{WEIGHT} may not decide over an alert of tier {rule.tier.name}",
        "leave it out, name a metric where none is named, or make the alert P2 or P3",
    )


def _reads(expression: Any, rules: Any) -> bool:
    """Whether the weight can be reached from an expression, over as many rules as there are."""
    seen: set[int] = set()
    waiting = [expression]
    while waiting:
        for selector in syntax.selectors(waiting.pop()):
            if may_select(selector, WEIGHT):
                return True
            for place, rule in enumerate(rules):
                if place not in seen and _leads_to(selector, rule):
                    seen.add(place)
                    waiting.append(rule.expression)
    return False


def _leads_to(selector: Any, rule: LintedRule) -> bool:
    if not rule.alerting:
        return may_select(selector, rule.name)
    by_name = any(may_select(selector, name) for name in _ALERTS)
    return by_name and may_find(selector, "alertname", rule.name)
