"""Recording rules whose name states another unit than their values have."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule

_NAMED = ("bytes", "seconds", "celsius", "watts", "joules", "hertz", "ratio", "percent")
_ONE_OF = {"hertz": "MHz", "joules": "millijoules", "bytes": "MiB"}
_FACTOR = {"MHz": 1e6, "millijoules": 1e-3, "MiB": 2**20, "percent": 0.01, "ratio": 100}


@register(
    "record-unit",
    "warning",
    "a recording rule named `_bytes`, `_hertz` or the like that holds another unit",
    "DCGM writes MiB, MHz and per cent, and copying a series does not convert it.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """Whether a record only copies a metric of another unit."""
    named = rule.name.rpartition("_")[2]
    node, factor = around.core(rule.expression)
    if rule.alerting or named not in _NAMED or factor != 1 or not isinstance(node, ast.VectorSelector):
        return
    family = around.metrics.family(syntax.metric(node))
    if family is None or not family.unit or family.unit == named:
        return
    converts = _ONE_OF.get(named) == family.unit or {named, family.unit} == {"ratio", "percent"}
    other = "record another metric, or rename the record"
    way_out = f"multiply by {_FACTOR[family.unit]:.10g}" if converts else other
    yield warning(f"{family.name} is in {family.unit}, and {rule.name} says {named}", way_out)
