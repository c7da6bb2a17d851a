"""Who reads the weight of people's feedback: by its name, by a pattern, or by naming no metric at all."""

from __future__ import annotations

from typing import Any

import re2

from model.labels import NAME
from rules.lint import syntax
from rules.promql.errors import PromQLError
from rules.promql.tree import parsed

WEIGHT = "fleetowl_anomaly_weight"


def may_select(selector: Any, metric: str) -> bool:
    """Whether a vector selector can find series of this metric, as far as names tell."""
    if selector.name:
        return bool(selector.name == metric)
    return all(_fits(one, metric) for one in selector.matchers.matchers if one.name == NAME)


def may_find(selector: Any, label: str, value: str) -> bool:
    """Whether a vector selector can find series where this label has this value."""
    return all(_fits(one, value) for one in selector.matchers.matchers if one.name == label)


def without_weight(expression: str) -> str:
    """The expression, unless it reads the weight. Raises ValueError with the way out."""
    try:
        selectors = syntax.selectors(parsed(expression)) if expression else []
    except PromQLError:
        return expression  # whoever evaluates it says what is wrong
    if any(may_select(selector, WEIGHT) for selector in selectors):
        raise ValueError(
            f"may not read {WEIGHT}: what people said of earlier anomalies must not end an alert or allow an "
            "action; name the metrics that it is about"
        )
    return expression


def _fits(matcher: Any, value: str) -> bool:
    op = syntax.op_of(matcher)
    if op in ("=", "!="):
        return (matcher.value == value) is (op == "=")
    try:
        return (re2.fullmatch(matcher.value, value) is not None) is (op == "=~")
    except re2.error:
        return False  # it selects nothing; the parser says so
