"""Functions of instant vectors and scalars."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np

from model.labels import NAME, Labels
from model.matcher import Matcher, Op
from rules.promql.calendar import on_calendar
from rules.promql.context import Context
from rules.promql.frame import Column, Floats, Integers, empty, frame_of
from rules.promql.node import Node, column, number
from rules.promql.selectors import InstantSelector
from rules.promql.windows import RangeReader

Arithmetic = Callable[..., Floats]


def _round(values: Floats, nearest: float = 1.0) -> Floats:
    # As Prometheus: the inverse first, so that round(x, 0.1) has no stray digits.
    inverse = 1.0 / np.float64(nearest)
    result: Floats = np.floor(values * inverse + 0.5) / inverse
    return result


def go_max(one: Floats | float, other: Floats | float) -> Floats:
    """Go's math.Max: an infinite maximum stands even beside NaN."""
    return np.where(np.isposinf(one) | np.isposinf(other), np.inf, np.maximum(one, other))


def go_min(one: Floats | float, other: Floats | float) -> Floats:
    """Go's math.Min."""
    return np.where(np.isneginf(one) | np.isneginf(other), -np.inf, np.minimum(one, other))


ELEMENTWISE: dict[str, Arithmetic] = {
    "abs": np.abs,
    "ceil": np.ceil,
    "floor": np.floor,
    "exp": np.exp,
    "ln": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "sqrt": np.sqrt,
    "sgn": np.sign,
    "deg": np.degrees,
    "rad": np.radians,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "round": _round,
    "clamp_min": go_max,
    "clamp_max": go_min,
}
"""Each takes the values of a vector, and the scalar arguments of its function, to new values."""


class Elementwise:
    """A function of each value by itself; the metric name is dropped."""

    def __init__(self, name: str, operand: Node, arguments: Sequence[Node]) -> None:
        self._compute = ELEMENTWISE[name]
        self._operand = operand
        self._arguments = arguments

    def evaluate(self, context: Context) -> Column:
        """The same rows with new values."""
        vector = column(self._operand, context)
        arguments = [number(argument, context) for argument in self._arguments]
        with np.errstate(all="ignore"):
            values = self._compute(vector.values, *arguments)
        return Column(vector.frame, values, vector.present, True)


class Calendar:
    """`hour()`, `month(v)` and their kin: a part of the date of each value, a time in Unix seconds."""

    def __init__(self, name: str, operand: Node) -> None:
        self._name = name
        self._operand = operand

    def evaluate(self, context: Context) -> Column:
        """The same rows with the part of the date."""
        vector = column(self._operand, context)
        values = on_calendar(self._name, vector.values)
        return Column(vector.frame, values, vector.present, True)


class Clamp:
    """`clamp(v, min, max)`: nothing if the bounds are crossed."""

    def __init__(self, operand: Node, low: Node, high: Node) -> None:
        self._operand, self._low, self._high = operand, low, high

    def evaluate(self, context: Context) -> Column:
        """The values, kept between the bounds."""
        vector = column(self._operand, context)
        low, high = number(self._low, context), number(self._high, context)
        values = go_max(low, go_min(high, vector.values))
        present = vector.present & (not low > high)
        return Column(vector.frame, values, present, True)


class Constant:
    """`time()` and `pi()`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def evaluate(self, context: Context) -> float:
        """Seconds since the epoch, or pi."""
        return context.at / 1000 if self._name == "time" else float(np.pi)


_ONE_ROW = frame_of([Labels()])


class ToVector:
    """`vector(s)`: one row without labels."""

    def __init__(self, operand: Node) -> None:
        self._operand = operand

    def evaluate(self, context: Context) -> Column:
        """The number as a vector."""
        return Column(_ONE_ROW, np.array([number(self._operand, context)]), np.ones(1, dtype=np.bool_))


class ToScalar:
    """`scalar(v)`: the value of the only row, NaN if there is not exactly one."""

    def __init__(self, operand: Node) -> None:
        self._operand = operand

    def evaluate(self, context: Context) -> float:
        """The vector as a number."""
        vector = column(self._operand, context)
        values = vector.values[vector.present]
        return float(values[0]) if len(values) == 1 else float("nan")


class Timestamp:
    """`timestamp(v)`: when each sample was taken, in seconds."""

    def __init__(self, operand: Node) -> None:
        self._operand = operand

    def evaluate(self, context: Context) -> Column:
        """Of a selector the times of its samples, of anything else the moment of evaluation."""
        if isinstance(self._operand, InstantSelector):
            vector, times = self._operand.read(context)
            values = times / 1000
        else:
            vector = column(self._operand, context)
            values = np.full(len(vector.values), context.at / 1000)
        return Column(vector.frame, values, vector.present, True)


class Sorted:
    """`sort` and its kin: the same rows in another order, which only an instant query shows."""

    def __init__(self, operand: Node, descending: bool, labels: Sequence[str] | None = None) -> None:
        self._operand = operand
        self._descending = descending
        self._labels = labels
        """Sort by these labels; None is by value."""

    def evaluate(self, context: Context) -> Column:
        """The operand with an order; NaN comes last."""
        if context.query.start != context.query.end:
            context.notes.warn(
                "sort is ineffective for range queries since results are always ordered by labels"
            )
        vector = column(self._operand, context)
        rows = np.flatnonzero(vector.present)
        arrange = self._by_value if self._labels is None else self._by_label
        return replace(vector, order=arrange(vector, rows))

    def _by_value(self, vector: Column, rows: Integers) -> Integers:
        values = vector.values[rows]
        found: Integers = rows[np.argsort(-values if self._descending else values, kind="stable")]
        return found

    def _by_label(self, vector: Column, rows: Integers) -> Integers:
        def key(row: int) -> tuple[object, ...]:
            labels = vector.frame[row]
            return *(_natural(labels.value(name)) for name in self._labels or ()), labels.pairs

        return np.array(sorted(rows.tolist(), key=key, reverse=self._descending), dtype=np.int64)


def _natural(text: str) -> tuple[tuple[bool, int, str], ...]:
    """A key under which `a2` comes before `a10`: numbers by their length, then digit by digit."""
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple(
        (False, len(part.lstrip("0")), part.lstrip("0")) if part[0] in "0123456789" else (True, 0, part)
        for part in parts
    )


class Extreme:
    """`min_of(a, b)` and `max_of(a, b)` of two numbers."""

    def __init__(self, name: str, operands: Sequence[Node]) -> None:
        self._choose = go_min if name == "min_of" else go_max
        self._operands = operands

    def evaluate(self, context: Context) -> float:
        """The smaller (larger) one; NaN if one is NaN."""
        one, other = (number(operand, context) for operand in self._operands)
        return float(self._choose(one, other))


class Absent:
    """`absent(v)` and `absent_over_time(v[r])`: 1 while there is nothing."""

    def __init__(self, operand: Node | RangeReader, labels: Labels, ranged: bool = False) -> None:
        self._operand = operand
        self._ranged = ranged
        self._frame = frame_of([labels])

    def evaluate(self, context: Context) -> Column:
        """One row with the labels that the selector demands, or none."""
        return (
            empty()
            if self._anything(context)
            else Column(self._frame, np.ones(1), np.ones(1, dtype=np.bool_))
        )

    def _anything(self, context: Context) -> bool:
        if self._ranged:
            return any(block.present.any() for block in cast(RangeReader, self._operand).read(context).blocks)
        return bool(column(cast(Node, self._operand), context).present.any())


def absent_labels(matchers: Sequence[Matcher]) -> Labels:
    """The labels that an absent series would surely have: those that stand once and with `=`."""
    names = [matcher.name for matcher in matchers]
    return Labels(
        [
            (matcher.name, matcher.value)
            for matcher in matchers
            if matcher.op is Op.EQUAL and matcher.name != NAME and names.count(matcher.name) == 1
        ]
    )
