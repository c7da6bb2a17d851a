"""`histogram_quantile` over classic buckets.

Source: prometheus/prometheus promql/quantile.go, BucketQuantile. All histograms of a vector are laid
out as one matrix, a row each and a column for each bucket edge that any of them has, so that ranks
are found for all at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rules.promql.aggregation import Groups, group
from rules.promql.context import Context
from rules.promql.frame import Bools, Column, Floats, Frame, Integers, Projection
from rules.promql.node import Node, column, number

_WITHOUT_LE = Projection(False, frozenset({"le"}))
_SMALL_DELTA = 1e-12


@dataclass(slots=True)
class Layout:
    """Where each bucket row goes: `rows` into cell [`series`, `edge`] of a matrix with these `edges`."""

    groups: Groups
    rows: Integers
    series: Integers
    edge: Integers
    edges: Floats


def _lay_out(frame: Frame) -> Layout:
    bounds = np.array([_bound(labels.value("le")) for labels in frame], dtype=np.float64)
    rows = np.flatnonzero(~np.isnan(bounds))
    edges, edge = np.unique(bounds[rows], return_inverse=True)
    groups = group(frame, _WITHOUT_LE)
    return Layout(groups, rows, groups.number[rows], edge, edges)


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


class HistogramQuantile:
    """`histogram_quantile(q, buckets)`: one value for each set of labels without `le`."""

    def __init__(self, wanted: Node, operand: Node) -> None:
        self._wanted = wanted
        self._operand = operand
        self._layout: tuple[Frame, Layout] | None = None

    def evaluate(self, context: Context) -> Column:
        """NaN for a histogram without observations; nothing for one without buckets."""
        wanted, vector = number(self._wanted, context), column(self._operand, context)
        if self._layout is None or self._layout[0] is not vector.frame:
            self._layout = vector.frame, _lay_out(vector.frame)
        layout = self._layout[1]
        shape = len(layout.groups.frame), len(layout.edges)
        counts, there = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
        now = vector.present[layout.rows]
        cells = layout.series[now], layout.edge[now]
        np.add.at(counts, cells, vector.values[layout.rows[now]])
        there[cells] = True
        with np.errstate(all="ignore"):
            values = _quantiles(wanted, counts, there, layout.edges)
        present = np.asarray(there.any(axis=1))
        return Column(layout.groups.frame.without_name(), values, present).checked()


def _quantiles(wanted: float, counts: Floats, there: Bools, edges: Floats) -> Floats:
    """The quantile of each row of cumulative `counts`; cells that are not `there` are no buckets."""
    unbounded = len(edges) > 0 and bool(np.isposinf(edges[-1]))
    if np.isnan(wanted) or not unbounded:
        return np.full(len(counts), np.nan)
    usable = there[:, -1] & (there.sum(axis=1) >= 2)
    if wanted < 0 or wanted > 1:
        return np.where(there[:, -1], -np.inf if wanted < 0 else np.inf, np.nan)
    counts = _monotonic(counts, there)
    observations = counts[:, -1]
    rank = wanted * observations
    previous = _previous_bucket(there)
    reached = there & (counts >= rank[:, None])
    reached[:, -1] = True
    bucket = reached.argmax(axis=1)
    result = _interpolate(counts, edges, bucket, previous, rank)
    return np.where(usable & (observations != 0) & ~np.isnan(observations), result, np.nan)


def _monotonic(counts: Floats, there: Bools) -> Floats:
    """Cumulative counts that never fall; a missing bucket repeats the one before it."""
    result = counts.copy()
    previous = np.where(there[:, 0], counts[:, 0], -np.inf)
    for edge in range(1, counts.shape[1]):
        current = result[:, edge]
        near = np.abs(current - previous) <= _SMALL_DELTA * np.minimum(
            np.abs(current) + np.abs(previous), np.finfo(np.float64).max
        )
        kept = there[:, edge] & ~near & ~(current < previous)
        previous = np.where(kept, current, previous)
        result[:, edge] = previous
    return result


def _previous_bucket(there: Bools) -> Integers:
    """For each cell the edge of the nearest bucket before it, -1 where it is the first."""
    edges = np.where(there, np.arange(there.shape[1]), -1)
    before = np.maximum.accumulate(edges, axis=1)
    return np.concatenate([np.full((len(there), 1), -1), before[:, :-1]], axis=1)


def _interpolate(counts: Floats, edges: Floats, bucket: Integers, previous: Integers, rank: Floats) -> Floats:
    series = np.arange(len(counts))
    before = previous[series, bucket]
    first = before < 0
    lower = np.where(first, 0.0, edges[before])
    below = np.where(first, 0.0, counts[series, before])
    upper = edges[bucket]
    inside: Floats = lower + (upper - lower) * ((rank - below) / (counts[series, bucket] - below))
    inside = np.where(first & (upper <= 0), upper, inside)
    return np.where(bucket == len(edges) - 1, lower, inside)
