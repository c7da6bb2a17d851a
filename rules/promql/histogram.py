"""`histogram_quantile` and `histogram_fraction` over classic buckets.

Source: prometheus/prometheus promql/quantile.go, BucketQuantile and BucketFraction. All histograms of a
vector are laid out as one matrix, a row each and a column for each bucket edge that any of them has, so
that ranks are found for all at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rules.promql.aggregation import Groups, group
from rules.promql.context import Context, Notes
from rules.promql.frame import Bools, Column, Floats, Frame, Integers, Projection
from rules.promql.node import Node, column, number
from rules.promql.windows import check_quantile

_WITHOUT_LE = Projection(False, frozenset({"le"}))
_SMALL_DELTA = 1e-12


@dataclass(slots=True)
class Layout:
    """Where each bucket row goes: `rows` into cell [`series`, `edge`] of a matrix with these `edges`.

    `bad` are the rows that are no buckets.
    """

    groups: Groups
    rows: Integers
    series: Integers
    edge: Integers
    edges: Floats
    bad: Integers


@dataclass(slots=True)
class Histograms:
    """H histograms over E edges: cumulative `counts` [H, E] in the cells that are `there`."""

    counts: Floats
    there: Bools
    edges: Floats

    @property
    def known(self) -> Bools:
        """Which histograms have a bucket."""
        return np.asarray(self.there.any(axis=1))


def _lay_out(frame: Frame) -> Layout:
    bounds = np.array([_bound(labels.value("le")) for labels in frame], dtype=np.float64)
    bad = np.isnan(bounds)
    rows = np.flatnonzero(~bad)
    edges, edge = np.unique(bounds[rows], return_inverse=True)
    groups = group(frame, _WITHOUT_LE)
    return Layout(groups, rows, groups.number[rows], edge, edges, np.flatnonzero(bad))


def _bound(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


class Buckets:
    """A vector of bucket rows as histograms; their layout is remembered by the frame."""

    def __init__(self, operand: Node) -> None:
        self._operand = operand

    def read(self, context: Context) -> tuple[Layout, Histograms]:
        """The histograms now."""
        vector = column(self._operand, context)
        layout: Layout | None = vector.frame.remembered.get(Layout)
        if layout is None:
            layout = vector.frame.remembered[Layout] = _lay_out(vector.frame)
        for row in layout.bad[vector.present[layout.bad]]:
            labels = vector.frame[int(row)]
            context.notes.warn(
                f'bucket label "le" is missing or has a malformed value of "{labels.value("le")}" '
                f'for metric name "{labels.name}"'
            )
        shape = len(layout.groups.frame), len(layout.edges)
        counts, there = np.zeros(shape), np.zeros(shape, dtype=np.bool_)
        now = vector.present[layout.rows]
        cells = layout.series[now], layout.edge[now]
        np.add.at(counts, cells, vector.values[layout.rows[now]])
        there[cells] = True
        return layout, Histograms(counts, there, layout.edges)


class HistogramQuantile:
    """`histogram_quantile(q, buckets)`: one value for each set of labels without `le`."""

    def __init__(self, wanted: Node, operand: Node) -> None:
        self._wanted = wanted
        self._buckets = Buckets(operand)

    def evaluate(self, context: Context) -> Column:
        """NaN for a histogram without observations; nothing for one without buckets."""
        wanted = number(self._wanted, context)
        check_quantile(wanted, context.notes)
        layout, found = self._buckets.read(context)
        with np.errstate(all="ignore"):
            values = _quantiles(wanted, found, layout, context.notes)
        return Column(layout.groups.frame.nameless, values, found.known).checked()


class HistogramFraction:
    """`histogram_fraction(lower, upper, buckets)`: which part of the observations lies between."""

    def __init__(self, lower: Node, upper: Node, operand: Node) -> None:
        self._lower = lower
        self._upper = upper
        self._buckets = Buckets(operand)

    def evaluate(self, context: Context) -> Column:
        """NaN for a histogram without observations or without a +Inf bucket."""
        lower, upper = number(self._lower, context), number(self._upper, context)
        layout, found = self._buckets.read(context)
        with np.errstate(all="ignore"):
            values = _fractions(lower, upper, found)
        return Column(layout.groups.frame.nameless, values, found.known).checked()


def _quantiles(wanted: float, found: Histograms, layout: Layout, notes: Notes) -> Floats:
    there, edges = found.there, found.edges
    if not 0 <= wanted <= 1:
        limit = np.nan if np.isnan(wanted) else -np.inf if wanted < 0 else np.inf
        return np.full(len(there), limit)
    if not _unbounded(edges):
        return np.full(len(there), np.nan)
    counts, forced = _monotonic(found.counts, there)
    for place in np.flatnonzero(forced & there[:, -1]):
        name = layout.groups.frame[int(place)].name
        notes.inform(f'input to histogram_quantile needed to be fixed for monotonicity: "{name}"')
    observations = counts[:, -1]
    rank = wanted * observations
    reached = there & (counts >= rank[:, None])
    reached[:, -1] = True
    result = _interpolate(counts, edges, reached.argmax(axis=1), _previous_bucket(there), rank)
    usable = there[:, -1] & (there.sum(axis=1) >= 2)
    return np.where(usable & (observations != 0) & ~np.isnan(observations), result, np.nan)


def _unbounded(edges: Floats) -> bool:
    return len(edges) > 0 and bool(np.isposinf(edges[-1]))


def _fractions(lower: float, upper: float, found: Histograms) -> Floats:
    there, edges, counts = found.there, found.edges, found.counts
    nothing = np.full(len(there), np.nan)
    if not _unbounded(edges) or np.isnan(lower) or np.isnan(upper):
        return nothing
    total = counts[:, -1]
    usable = there[:, -1] & (total != 0)
    if lower >= upper:
        return np.where(usable, 0.0, np.nan)
    previous = _previous_bucket(there)
    below = np.minimum(_rank_at(lower, found, previous), total)
    return np.where(usable, (np.minimum(_rank_at(upper, found, previous), total) - below) / total, np.nan)


def _rank_at(value: float, found: Histograms, previous: Integers) -> Floats:
    """How many observations of each histogram lie below `value`, linear within a bucket."""
    there, edges, counts = found.there, found.edges, found.counts
    rows = np.arange(len(there))
    reached = there & (edges > value)
    some = reached.any(axis=1)
    bucket = reached.argmax(axis=1)
    before = previous[rows, bucket]
    first = before < 0
    upper = edges[bucket]
    # The first bucket begins at 0, or without end if it lies below 0; where there is no end there is no part.
    lower = np.where(first, np.where(upper > 0, 0.0, -np.inf), edges[before])
    rank = np.where(first, 0.0, counts[rows, before])
    inside = rank + (counts[rows, bucket] - rank) * ((value - lower) / (upper - lower))
    inside = np.where(np.isneginf(lower), counts[rows, bucket], inside)
    inside = np.where(lower >= value, rank, inside)
    return np.where(some, inside, np.inf)


def _monotonic(counts: Floats, there: Bools) -> tuple[Floats, Bools]:
    """Cumulative counts that never fall, and which rows had to be changed for that.

    A missing bucket repeats the one before it; a difference that is rounding is none.
    """
    result = counts.copy()
    forced = np.zeros(len(counts), dtype=np.bool_)
    previous = np.where(there[:, 0], counts[:, 0], -np.inf)
    for edge in range(1, counts.shape[1]):
        current = result[:, edge]
        near = np.abs(current - previous) <= _SMALL_DELTA * np.minimum(
            np.abs(current) + np.abs(previous), np.finfo(np.float64).max
        )
        fallen = there[:, edge] & ~near & (current < previous)
        forced |= fallen
        previous = np.where(there[:, edge] & ~near & ~fallen, current, previous)
        result[:, edge] = previous
    return result, forced


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
