"""Thresholds that a histogram cannot answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, error, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule
from rules.metrics.catalogue import Family


@register(
    "bucket-edge",
    "error, warning",
    "a threshold on a latency that is no edge of its histogram",
    "Between two edges a quantile is an estimate (measured on vLLM: up to 30 % off). A bucket that is "
    'selected by an edge that it has not, or spelled as it is not exposed (`le="1"` for `le="1.0"`), is an '
    "error: it matches nothing.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The thresholds of quantiles, and the buckets that are selected by name."""
    for comparison in syntax.comparisons(rule.expression):
        node, factor = around.core(comparison.operand)
        if isinstance(node, ast.Call) and node.func.name == "histogram_quantile" and factor > 0:
            yield from _threshold(node.args[1], comparison.value / factor, around)
    for selector in syntax.selectors(rule.expression):
        family = _family(selector, around)
        for matcher in selector.matchers.matchers if family is not None else ():
            if matcher.name == "le" and family is not None:
                yield from _bucket(family, matcher)


def _family(selector: Any, around: Surroundings) -> Family | None:
    name = syntax.metric(selector)
    family = around.metrics.family(name) if name.endswith("_bucket") else None
    return family if family is not None and family.buckets else None


def _threshold(histogram: Any, value: float, around: Surroundings) -> Iterator[Remark]:
    for selector in around.read_by(histogram):
        family = _family(selector, around)
        if family is None or any(abs(value - edge) <= 1e-9 * edge for edge in family.buckets):
            continue
        near = _neighbours(value, family.buckets)
        beyond = value > family.buckets[-1]
        sentence = f"{value:g} is no bucket edge of {family.name}: " + (
            "all edges are smaller" if beyond else "what lies between two edges is an estimate"
        )
        yield warning(sentence, f"compare with {near}, or give the server this edge")


def _neighbours(value: float, edges: tuple[float, ...]) -> str:
    below = [edge for edge in edges if edge < value][-1:]
    above = [edge for edge in edges if edge > value][:1]
    return " or ".join(f"{edge:g}" for edge in (*below, *above))


def _bucket(family: Family, matcher: Any) -> Iterator[Remark]:
    written = [*(str(edge) for edge in family.buckets), "+Inf"]
    op, text = syntax.op_of(matcher), matcher.value
    if (op == "=" and text in written) or (op == "=~" and _matches_one(text, written)) or op[0] == "!":
        return
    edge = _number(text)
    if edge in family.buckets:
        way_out = f'write le="{edge}"'
    elif edge is not None:
        way_out = f"take {_neighbours(edge, family.buckets)}, or give the server this edge"
    else:
        way_out = f"its edges are {', '.join(written)}"
    yield error(f"no bucket of {family.name} has le{op}{text!r}, so this selects nothing", way_out)


def _matches_one(pattern: str, written: list[str]) -> bool:
    try:
        return any(re.fullmatch(pattern, edge) for edge in written)
    except re.error:
        return True


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
