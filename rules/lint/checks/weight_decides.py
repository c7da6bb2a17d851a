"""The weight of people's feedback in what must not depend on it."""

from __future__ import annotations

from collections.abc import Iterator

from model.alert import Tier
from rules.lint import syntax
from rules.lint.finding import Remark, error
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule

_WEIGHT = "fleetowl_anomaly_weight"


@register(
    "weight-decides",
    "error",
    "`fleetowl_anomaly_weight` in a rule of tier P0 or P1, also through a recording rule",
    "The weight is what people said of earlier alerts. It may quiet P2 and P3; what wakes somebody must "
    "not fall silent because others like it were marked as noise.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """Whether an urgent alert reads the weight."""
    if not rule.alerting or rule.tier > Tier.P1:
        return
    if any(syntax.metric(selector) == _WEIGHT for selector in around.read_by(rule.expression)):
        yield error(
            f"{_WEIGHT} may not decide over an alert of tier {rule.tier.name}",
            "leave it out, or make the alert P2 or P3",
        )
