"""Aggregations over the rows of a vector: sum, min, max, avg, count, group, topk and their kin.

Grouping depends on the labels only. It is worked out once a frame: an order that puts the rows of a
group side by side, and where each group begins. Then each aggregation is a reduction of segments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.labels import NAME
from rules.promql.context import Context
from rules.promql.errors import EvaluationError
from rules.promql.frame import Bools, Column, Floats, Frame, Integers, Projection, frame_of
from rules.promql.node import Node, column, number
from rules.promql.sums import group_sums
from rules.promql.windows import check_quantile


@dataclass(slots=True)
class Groups:
    """How the rows of a frame fall into the rows of `frame`, by `number` and in `order`."""

    frame: Frame
    number: Integers
    order: Integers
    starts: Integers


def group(frame: Frame, projection: Projection) -> Groups:
    """Group the rows by the labels that `projection` leaves; remembered by the frame."""
    found: Groups | None = frame.remembered.get((Groups, projection))
    if found is None:
        found = frame.remembered[Groups, projection] = _group(frame, projection)
    return found


def _group(frame: Frame, projection: Projection) -> Groups:
    known: dict[object, int] = {}
    numbers = np.array([known.setdefault(key, len(known)) for key in frame.keys(projection)], dtype=np.int64)
    order = np.argsort(numbers, kind="stable")
    starts = np.searchsorted(numbers[order], np.arange(len(known)))
    labels = [projection.apply(frame[int(order[start])]) for start in starts]
    intervals = np.maximum.reduceat(frame.intervals[order], starts) if len(order) else frame.intervals
    return Groups(Frame(labels, intervals, unique=True), numbers, order, starts)


Reduce = Callable[[Groups, Floats, Bools, Integers], Floats]
"""(groups, values, presence, present rows of each group) to one value a group."""


def _sums(groups: Groups, values: Floats, present: Bools, _counts: Integers) -> Floats:
    return group_sums(np.where(present, values, 0.0), groups.order, groups.starts)


def _means(groups: Groups, values: Floats, present: Bools, counts: Integers) -> Floats:
    means = _sums(groups, values, present, counts) / counts
    infinite = np.where(present & np.isinf(values), 1.0, 0.0)
    overflowed = np.isinf(means) & (np.add.reduceat(infinite[groups.order], groups.starts) == 0)
    if overflowed.any():
        means = np.where(overflowed, _sums(groups, values / counts[groups.number], present, counts), means)
    return means


def _smallest(groups: Groups, values: Floats, present: Bools, _counts: Integers) -> Floats:
    return np.fmin.reduceat(np.where(present, values, np.nan)[groups.order], groups.starts)


def _largest(groups: Groups, values: Floats, present: Bools, _counts: Integers) -> Floats:
    return np.fmax.reduceat(np.where(present, values, np.nan)[groups.order], groups.starts)


def _variances(groups: Groups, values: Floats, present: Bools, counts: Integers) -> Floats:
    # Distances from a value of the group: what does not vary has variance 0, to the last bit.
    origin = _largest(groups, values, present, counts)
    distances = values - origin[groups.number]
    means = _means(groups, distances, present, counts)
    return _sums(groups, (distances - means[groups.number]) ** 2, present, counts) / counts


REDUCTIONS: dict[str, Reduce] = {
    "sum": _sums,
    "avg": _means,
    "min": _smallest,
    "max": _largest,
    "count": lambda _groups, _values, _present, counts: counts.astype(np.float64),
    "group": lambda _groups, _values, _present, counts: np.ones(len(counts)),
    "stdvar": _variances,
    "stddev": lambda groups, *rest: np.sqrt(_variances(groups, *rest)),
}


class _Grouped:
    """What aggregations share: their operand and how its rows are grouped."""

    def __init__(self, operand: Node, by: bool, labels: tuple[str, ...]) -> None:
        self._operand = operand
        names = frozenset(labels)
        self._projection = Projection(True, names) if by else Projection(False, names | {NAME})
        self._names = by and NAME in names

    def _grouped(self, vector: Column) -> Groups:
        return group(vector.frame, self._projection)

    def _dropped(self, vector: Column, groups: Groups) -> bool | Bools:
        """A group loses its name if one of its present rows does."""
        if not self._names:
            return False
        gone = np.broadcast_to(vector.dropped, vector.present.shape) & vector.present
        return np.bincount(groups.number[gone], minlength=len(groups.frame)) > 0


class Aggregation(_Grouped):
    """One value for each group."""

    def __init__(self, op: str, operand: Node, by: bool, labels: tuple[str, ...]) -> None:
        super().__init__(operand, by, labels)
        self._reduce = REDUCTIONS[op]

    def evaluate(self, context: Context) -> Column:
        """A row for each group that has a present row."""
        vector = column(self._operand, context)
        groups = self._grouped(vector)
        if not len(groups.order):
            return Column(groups.frame, np.empty(0), np.empty(0, dtype=np.bool_))
        counts = np.add.reduceat(vector.present[groups.order].astype(np.int64), groups.starts)
        with np.errstate(all="ignore"):
            values = self._reduce(groups, vector.values, vector.present, np.maximum(counts, 1))
        return Column(groups.frame, values, counts > 0, self._dropped(vector, groups))


class Ranking(_Grouped):
    """`topk` and `bottomk`: the k largest (smallest) rows of each group, labels and all."""

    def __init__(self, op: str, count: Node, operand: Node, by: bool, labels: tuple[str, ...]) -> None:
        super().__init__(operand, by, labels)
        self._count = count
        self._sign = -1.0 if op == "topk" else 1.0

    def evaluate(self, context: Context) -> Column:
        """The rows that are kept; NaN ranks last."""
        wanted, vector = number(self._count, context), column(self._operand, context)
        if np.isnan(wanted):
            raise EvaluationError("parameter value is NaN")
        if not -(2.0**63) <= wanted < 2.0**63:
            raise EvaluationError(f"the parameter {wanted} overflows a whole number")
        wanted = np.trunc(wanted)
        groups = self._grouped(vector)
        rows = np.flatnonzero(vector.present)
        order = rows[np.lexsort((vector.values[rows] * self._sign, groups.number[rows]))]
        numbers = groups.number[order]
        first = np.searchsorted(numbers, numbers)
        kept = order[np.arange(len(order)) - first < wanted]
        present = np.zeros(len(vector.present), dtype=np.bool_)
        present[kept] = True
        return Column(vector.frame, vector.values, present, vector.dropped, kept)


class Quantile(_Grouped):
    """`quantile(q, v)`: interpolated between the two values around the rank, NaN smallest."""

    def __init__(self, wanted: Node, operand: Node, by: bool, labels: tuple[str, ...]) -> None:
        super().__init__(operand, by, labels)
        self._wanted = wanted

    def evaluate(self, context: Context) -> Column:
        """A row for each group that has a present row."""
        wanted, vector = number(self._wanted, context), column(self._operand, context)
        check_quantile(wanted, context.notes)
        groups = self._grouped(vector)
        rows = groups.order if vector.present.all() else groups.order[vector.present[groups.order]]
        values, numbers = vector.values.take(rows), groups.number.take(rows)
        there = np.arange(len(groups.frame))
        first = np.searchsorted(numbers, there)
        counts = np.searchsorted(numbers, there, side="right") - first
        known = counts > 0
        result = np.full(len(there), np.nan)
        if known.any():
            ordered = _sorted_in_groups(values, numbers, first[known], counts[known])
            result[known] = _interpolate(ordered, first[known], counts[known], wanted)
        return Column(groups.frame, result, known, self._dropped(vector, groups))


def _sorted_in_groups(values: Floats, numbers: Integers, first: Integers, counts: Integers) -> Floats:
    """The values, group after group as before, sorted within each; NaN smallest."""
    widest = int(counts.max())
    if np.isnan(values).any() or widest * len(counts) > 2 * len(values):
        # Two keys, so that NaN sorts before all numbers and not behind them.
        return values[np.lexsort((values, ~np.isnan(values), numbers))]
    cells = np.full((len(counts), widest), np.inf)
    there = np.arange(widest) < counts[:, None]
    cells[there] = values
    cells.sort(axis=1)
    found: Floats = cells[there]
    return found


def _interpolate(values: Floats, first: Integers, counts: Integers, wanted: float) -> Floats:
    if np.isnan(wanted):
        return np.full(len(first), np.nan)
    if wanted < 0 or wanted > 1:
        return np.full(len(first), -np.inf if wanted < 0 else np.inf)
    rank = wanted * (counts - 1)
    lower = np.maximum(0, np.floor(rank)).astype(np.int64)
    upper = np.minimum(counts - 1, lower + 1)
    weight = rank - np.floor(rank)
    with np.errstate(all="ignore"):
        result: Floats = values[first + lower] * (1 - weight) + values[first + upper] * weight
    return result


class CountValues(_Grouped):
    """`count_values("label", v)`: how many rows of a group have each value; the value becomes a label.

    Its labels depend on values, so unlike all else they are made anew at each evaluation.
    """

    def __init__(self, label: str, operand: Node, by: bool, labels: tuple[str, ...]) -> None:
        # As upstream: the value is put into the label first, and rows are grouped then.
        super().__init__(operand, by, tuple(set(labels) - {label}) if by else (*labels, label))
        self._label = label
        self._shown = by or label not in labels

    def evaluate(self, context: Context) -> Column:
        """A row for each group and value."""
        vector = column(self._operand, context)
        groups = self._grouped(vector)
        counts: Counter[tuple[int, str]] = Counter(
            (int(groups.number[row]), _spelled(float(vector.values[row])) if self._shown else "")
            for row in np.flatnonzero(vector.present)
        )
        labels = [groups.frame[number].merged({self._label: value}) for number, value in counts]
        intervals = groups.frame.intervals[[number for number, _ in counts]]
        values = np.array(list(counts.values()), dtype=np.float64)
        return Column(frame_of(labels, intervals), values, np.ones(len(values), dtype=np.bool_))


def _spelled(value: float) -> str:
    """A number as Go writes it without an exponent."""
    if np.isfinite(value):
        return np.format_float_positional(value, trim="-")
    return "NaN" if np.isnan(value) else "+Inf" if value > 0 else "-Inf"
