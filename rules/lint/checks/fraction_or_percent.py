"""A fraction compared with per cent, or the other way round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import promql_parser as ast

from rules.lint import syntax
from rules.lint.finding import Remark, error, warning
from rules.lint.registry import Surroundings, register
from rules.lint.rule import LintedRule


class _Share(NamedTuple):
    """What is compared: a name for it, its largest value as compared, and how sure that is."""

    what: str
    top: float
    percent: bool
    certain: bool


@register(
    "fraction-or-percent",
    "error, warning",
    "a fraction (0 to 1) compared with per cent, or per cent with a fraction",
    "`vllm:kv_cache_usage_perc > 90` is never true: it goes from 0 to 1 in spite of its name. "
    "`DCGM_FI_DEV_GPU_UTIL > 0.9` is nearly always true. `a / (a + b)` is a fraction too.",
)
def find(rule: LintedRule, around: Surroundings) -> Iterator[Remark]:
    """The comparisons of a share with a number of the other kind."""
    for comparison in syntax.comparisons(rule.expression):
        share = _share(comparison.operand, around)
        if share is None or comparison.value <= 0:
            continue
        value, op = comparison.value, comparison.op
        beyond = value > share.top or (value == share.top and op == ">")
        if beyond and (share.certain or value >= 10 * share.top):
            truth = "always" if op in ("<", "<=", "!=") else "never"
            remark = error if share.certain else warning
            sentence = f"{share.what} goes from 0 to {share.top:g}, so {op} {value:g} is {truth} true"
            yield remark(sentence, _way_out(share, value))
        elif share.percent and value < share.top / 100:
            sentence = (
                f"{share.what} goes from 0 to {share.top:g}: {op} {value:g} is below one per cent of it"
            )
            yield warning(sentence, f"compare with {value * 100:g}")


def _way_out(share: _Share, value: float) -> str:
    if value <= 100 * share.top and not share.percent:
        return f"compare with {value / 100:g}"
    return f"compare with a number below {share.top:g}"


def _share(operand: Any, around: Surroundings) -> _Share | None:
    node, factor = around.core(operand)
    if isinstance(node, ast.BinaryExpr) and str(node.op) == "-":
        return _rest(node, factor, around)
    if isinstance(node, ast.BinaryExpr) and str(node.op) == "/":
        return _Share("the part of a sum", factor, False, True) if _is_part(node, around) else None
    if not isinstance(node, ast.VectorSelector) or factor <= 0:
        return None
    name = syntax.metric(node)
    family = around.metrics.family(name)
    if family is not None and family.unit in ("ratio", "percent"):
        top = factor * (100 if family.unit == "percent" else 1)
        return _Share(_scaled(name, factor), top, family.unit == "percent", True)
    if family is None and name.endswith("_ratio") and name not in around.records:
        return _Share(_scaled(name, factor), factor, False, False)
    return None


def _rest(node: Any, factor: float, around: Surroundings) -> _Share | None:
    """`1 - x` of a fraction and `100 - x` of per cent."""
    whole, share = syntax.constant(node.lhs), _share(node.rhs, around)
    if share is None or whole != share.top:
        return None
    return share._replace(what=f"{whole:g} - {share.what}", top=share.top * factor)


def _scaled(name: str, factor: float) -> str:
    return name if factor == 1 else f"{factor:g} * {name}"


def _is_part(division: Any, around: Surroundings) -> bool:
    """Whether it is `a / (a + ...)`."""
    part = around.core(division.lhs)
    sizes = [around.core(term) for term in _terms(around.core(division.rhs)[0])]
    shown = [(node.prettify(), factor) for node, factor in sizes]
    return len(shown) > 1 and (part[0].prettify(), part[1]) in shown


def _terms(node: Any) -> list[Any]:
    node = syntax.bare(node)
    if isinstance(node, ast.BinaryExpr) and str(node.op) == "+":
        return [*_terms(node.lhs), *_terms(node.rhs)]
    return [node]
