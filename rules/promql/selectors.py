"""Selectors: which series of the window, and their samples at a moment or over a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model.labels import Labels
from model.matcher import Matcher
from model.moment import MINUTE
from rules.promql.context import Context
from rules.promql.frame import EMPTY, Bools, Column, Floats, Frame, Integers, empty
from rules.promql.scrapes import Span
from telemetry.selection import Selection

_ESTIMATE_EVERY = MINUTE


class Series:
    """The series that some matchers select, and their frame; looked up again when the window changes."""

    def __init__(self, matchers: Sequence[Matcher]) -> None:
        self.matchers = tuple(matchers)
        self.frame = EMPTY
        self.selections: list[Selection] = []
        self.intervals: list[int] = []
        self._labels: list[Labels] = []
        self._estimated_at = 0

    def look(self, context: Context) -> None:
        """Bring `selections`, `intervals` (ms, one a selection) and `frame` up to date."""
        selections = context.window.select(self.matchers)
        fresh = selections is not self.selections
        self.selections = selections
        aged = not 0 <= context.at - self._estimated_at < _ESTIMATE_EVERY
        if fresh or (aged and any(not selection.interval for selection in self.selections)):
            self._refresh(context)

    def _refresh(self, context: Context) -> None:
        self._estimated_at = context.at
        intervals = [selection.interval or _estimate(selection, context) for selection in self.selections]
        labels = [row for selection in self.selections for row in selection.labels]
        # Most often the window changed elsewhere: the same frame keeps all label work that hangs on it.
        if labels == self._labels and intervals == self.intervals:
            return
        self._labels, self.intervals = labels, intervals
        sizes = [len(selection.labels) for selection in self.selections]
        self.frame = Frame(labels, np.repeat(np.array(intervals, dtype=np.int64), sizes), unique=True)


def _estimate(selection: Selection, context: Context) -> int:
    """The usual distance (ms) between samples of series that have no stated interval."""
    times, _, present = selection.range(context.at - context.options.lookback, context.at)
    counts = present.sum(axis=0)
    several = counts > 1
    if not several.any():
        return context.options.default_interval
    limits = np.iinfo(np.int64)
    last = np.where(present, times, limits.min).max(axis=0)[several]
    first = np.where(present, times, limits.max).min(axis=0)[several]
    return max(1, int(np.median((last - first) / (counts[several] - 1))))


class InstantSelector:
    """`metric{...} offset o`: of each series the last sample that is not too old and not stale."""

    def __init__(self, series: Series, offset: int) -> None:
        self.series = series
        self.offset = offset

    def evaluate(self, context: Context) -> Column:
        """Values now, with the metric name."""
        return self.read(context)[0]

    def read(self, context: Context) -> tuple[Column, Integers]:
        """The column and the times (ms) of its samples."""
        self.series.look(context)
        if not self.series.selections:
            return empty(), np.empty(0, dtype=np.int64)
        at = context.at - self.offset
        parts = [selection.instant(at, context.options.lookback) for selection in self.series.selections]
        values, times, present = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Column(self.series.frame, values, present), times


@dataclass
class Block:
    """The samples of S series in (start, end] (ms): times, values and presence are [K, S], in time order."""

    start: int
    end: int
    times: Integers
    values: Floats
    present: Bools

    @cached_property
    def counts(self) -> Integers:
        """How many samples each series has."""
        counts: Integers = self.present.sum(axis=0)
        return counts

    @cached_property
    def full(self) -> bool:
        """Whether no sample is missing, so that no row has to be looked for."""
        return bool(self.present.all())

    @cached_property
    def first(self) -> Integers:
        """The row of each series' first sample (0 where it has none)."""
        rows: Integers = self.present.argmax(axis=0)
        return rows

    @cached_property
    def last(self) -> Integers:
        """The row of each series' last sample."""
        rows: Integers = len(self.present) - 1 - self.present[::-1].argmax(axis=0)
        return rows

    @cached_property
    def filled(self) -> Floats:
        """The values with each gap holding the sample before it, and the first sample before that."""
        if self.full:
            return self.values
        rows = np.arange(len(self.present))[:, None]
        source = np.maximum.accumulate(np.where(self.present, rows, 0), axis=0)
        return np.take_along_axis(self.values, np.maximum(source, self.first), axis=0)

    def pick(self, matrix: Integers | Floats, rows: Integers) -> Floats:
        """Of each series the entry in its row."""
        picked: Floats = np.take_along_axis(matrix, rows[None, :], axis=0)[0].astype(np.float64)
        return picked


class RangeSelector:
    """`metric{...}[range] offset o`; the range may count in scrape intervals of what it reads."""

    def __init__(self, series: Series, span: Span, offset: int) -> None:
        self.series = series
        self.span = span
        self.offset = offset

    def read(self, context: Context) -> list[Block]:
        """One block for each selection, in the order of the rows of `series.frame`."""
        self.series.look(context)
        end = context.at - self.offset
        blocks = []
        for selection, interval in zip(self.series.selections, self.series.intervals, strict=True):
            start = end - self.span.at(interval)
            blocks.append(Block(start, end, *selection.range(start, end)))
        return blocks
