"""Which node a function call becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import promql_parser as ast

from rules.promql import functions, relabel, windows
from rules.promql.calendar import DATES
from rules.promql.errors import Unsupported
from rules.promql.histogram import HistogramFraction, HistogramQuantile
from rules.promql.node import Node
from rules.promql.selectors import RangeSelector
from rules.promql.tree import matchers_of, selectors_in, unwrapped

if TYPE_CHECKING:
    from rules.promql.compile import Compiler


def call(compiler: Compiler, expression: Any) -> Node:
    """The node of a call. Raises Unsupported naming the function."""
    name, arguments = expression.func.name, list(expression.args)
    if name in windows.KERNELS:
        place = 1 if name == "quantile_over_time" else 0
        before, after = _nodes(compiler, arguments[:place]), _nodes(compiler, arguments[place + 1 :])
        return windows.RangeFunction(name, compiler.range(arguments[place]), before, after)
    if name in DATES:
        now = functions.Constant("time")
        return functions.Calendar(name, compiler.node(arguments[0]) if arguments else _vector(compiler, now))
    if name in functions.ELEMENTWISE:
        return functions.Elementwise(name, compiler.node(arguments[0]), _nodes(compiler, arguments[1:]))
    build = _CALLS.get(name)
    if build is None:
        raise Unsupported(f"the function {name} is not supported: {expression.prettify()}")
    return build(compiler, arguments)


def _nodes(compiler: Compiler, expressions: Sequence[Any]) -> list[Node]:
    return [compiler.node(expression) for expression in expressions]


def _vector(compiler: Compiler, number: Node) -> Node:
    compiler.makes_vectors = True
    return functions.ToVector(number)


def _absent(compiler: Compiler, arguments: list[Any]) -> Node:
    compiler.asks_for_absence = True
    operand = unwrapped(arguments[0])
    matchers = matchers_of(operand) if isinstance(operand, ast.VectorSelector) else []
    return functions.Absent(compiler.node(operand), functions.absent_labels(matchers))


def _absent_over_time(compiler: Compiler, arguments: list[Any]) -> Node:
    compiler.asks_for_absence = True
    operand = compiler.range(arguments[0])
    matchers = operand.series.matchers if isinstance(operand, RangeSelector) else ()
    return functions.Absent(operand, functions.absent_labels(matchers), ranged=True)


def _histogram(compiler: Compiler, expression: Any) -> Node:
    """The buckets that a histogram function works on.

    A classic histogram may be asked for by its own name, as one that Prometheus 3 has converted to a native
    one with custom buckets: where there is no `x` but `x_bucket`, that is read, and `le` is kept.
    """
    names = [selector.name for selector in selectors_in(expression)]
    before, compiler.classic = compiler.classic, all(name and not name.endswith("_bucket") for name in names)
    try:
        return compiler.node(expression)
    finally:
        compiler.classic = before


def _histogram_quantile(compiler: Compiler, arguments: list[Any]) -> Node:
    return HistogramQuantile(compiler.node(arguments[0]), _histogram(compiler, arguments[1]))


def _histogram_fraction(compiler: Compiler, arguments: list[Any]) -> Node:
    lower, upper = _nodes(compiler, arguments[:2])
    return HistogramFraction(lower, upper, _histogram(compiler, arguments[2]))


def _sorted(descending: bool) -> Callable[[Compiler, list[Any]], Node]:
    return lambda compiler, arguments: functions.Sorted(compiler.node(arguments[0]), descending)


def _sorted_by_label(descending: bool) -> Callable[[Compiler, list[Any]], Node]:
    return lambda compiler, arguments: functions.Sorted(
        compiler.node(arguments[0]), descending, [label.val for label in arguments[1:]]
    )


def _extreme(name: str) -> Callable[[Compiler, list[Any]], Node]:
    return lambda compiler, arguments: functions.Extreme(name, _nodes(compiler, arguments))


def _label_replace(compiler: Compiler, arguments: list[Any]) -> Node:
    operand, *texts = arguments
    words = [text.val for text in texts]
    return relabel.Relabelled(compiler.node(operand), words[0], relabel.replacing(*words))


def _label_join(compiler: Compiler, arguments: list[Any]) -> Node:
    operand, target, separator, *sources = arguments
    rewrite = relabel.joining(target.val, separator.val, [source.val for source in sources])
    return relabel.Relabelled(compiler.node(operand), target.val, rewrite)


def _constant(name: str) -> Callable[[Compiler, list[Any]], Node]:
    return lambda _compiler, _arguments: functions.Constant(name)


_CALLS: dict[str, Callable[[Compiler, list[Any]], Node]] = {
    "absent": _absent,
    "absent_over_time": _absent_over_time,
    "clamp": lambda compiler, arguments: functions.Clamp(*_nodes(compiler, arguments)),
    "histogram_fraction": _histogram_fraction,
    "histogram_quantile": _histogram_quantile,
    "label_join": _label_join,
    "label_replace": _label_replace,
    "max_of": _extreme("max_of"),
    "min_of": _extreme("min_of"),
    "pi": _constant("pi"),
    "scalar": lambda compiler, arguments: functions.ToScalar(compiler.node(arguments[0])),
    "sort": _sorted(descending=False),
    "sort_by_label": _sorted_by_label(descending=False),
    "sort_by_label_desc": _sorted_by_label(descending=True),
    "sort_desc": _sorted(descending=True),
    "time": _constant("time"),
    "timestamp": lambda compiler, arguments: functions.Timestamp(compiler.node(unwrapped(arguments[0]))),
    "vector": lambda compiler, arguments: _vector(compiler, compiler.node(arguments[0])),
}
