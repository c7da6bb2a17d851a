"""Selectors: which series of the window, and their samples at a moment or over a range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.labels import Labels
from model.matcher import Matcher
from model.moment import MINUTE
from rules.promql.context import Context
from rules.promql.errors import EvaluationError
from rules.promql.frame import EMPTY, WITHOUT_NAME, Column, Integers, Key, Shelf, empty
from rules.promql.ranged import Block, Ranged
from rules.promql.scrapes import Span
from telemetry.selection import Selection
from telemetry.window import Window

_ESTIMATE_EVERY = MINUTE


@dataclass(frozen=True, slots=True)
class When:
    """`@ at offset o`: the moment that is read. `at` is ms, `start`, `end`, or None for now."""

    offset: int = 0
    at: int | str | None = None

    def moment(self, context: Context) -> int:
        """In ms."""
        if self.at is None:
            return context.at - self.offset
        if isinstance(self.at, str):
            return (context.query.start if self.at == "start" else context.query.end) - self.offset
        return self.at - self.offset


class Series:
    """The series that some matchers select, and their frame; looked up again when the window changes."""

    def __init__(
        self,
        matchers: Sequence[Matcher],
        aliases: Sequence[Sequence[Matcher]] = (),
        otherwise: Sequence[Matcher] = (),
    ) -> None:
        self.matchers = tuple(matchers)
        self._aliases = [tuple(alias) for alias in aliases]
        """What the same series are called in other engines."""
        self._otherwise = tuple(otherwise)
        """What to select where all that finds nothing."""
        self.frame = EMPTY
        self.selections: list[Selection] = []
        self.intervals: list[int] = []
        self._labels: list[Labels] = []
        self._size = 0
        self._version: object = None
        self._estimated_at = 0

    @property
    def sources(self) -> list[tuple[Matcher, ...]]:
        """All that may be selected."""
        return [self.matchers, *self._aliases, *([self._otherwise] if self._otherwise else [])]

    def __str__(self) -> str:
        return "{" + ", ".join(map(str, self.matchers)) + "}"

    def look(self, context: Context) -> None:
        """Bring `selections`, `intervals` (ms, one a selection) and `frame` up to date."""
        version = context.window, context.window.version
        fresh = self._version != version
        if fresh:
            self._version = version
            self.selections = self._select(context.window)
            self._size = sum(map(len, self.selections))
        most = context.options.max_series
        if most and self._size > most:
            raise EvaluationError(
                f"the selector {self} touches {self._size} series, more than the {most} that "
                "rules.max_series allows: narrow its matchers or raise the limit"
            )
        aged = not 0 <= context.at - self._estimated_at < _ESTIMATE_EVERY
        if fresh or (aged and any(not selection.interval for selection in self.selections)):
            self._refresh(context)

    def _select(self, window: Window) -> list[Selection]:
        found = list(window.select(self.matchers))
        more = [selection for alias in self._aliases for selection in window.select(alias)]
        if found and more:
            # A server that exposes a family under two names is taken by the canonical one.
            known = set(WITHOUT_NAME.keys([row for selection in found for row in selection.labels]))
            more = [_others(selection, known) for selection in more]
        found += [selection for selection in more if len(selection)]
        return found or (list(window.select(self._otherwise)) if self._otherwise else [])

    def _refresh(self, context: Context) -> None:
        self._estimated_at = context.at
        intervals = [selection.interval or _estimate(selection, context) for selection in self.selections]
        labels = [row for selection in self.selections for row in selection.labels]
        # Most often the window changed elsewhere: the same frame keeps all label work that hangs on it.
        if labels == self._labels and intervals == self.intervals:
            return
        self._labels, self.intervals = labels, intervals
        sizes = [len(selection.labels) for selection in self.selections]
        each = np.repeat(np.array(intervals, dtype=np.int64), sizes)
        shelf = context.options.shelf or Shelf()
        self.frame = shelf.frame(self.selections, labels, each)


def _others(selection: Selection, known: set[Key]) -> Selection:
    """The series whose label sets, without the name, are not `known`."""
    kept = [key not in known for key in WITHOUT_NAME.keys(selection.labels)]
    return selection if all(kept) else selection.part(np.flatnonzero(kept))


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
    """`metric{...} @ t offset o`: of each series the last sample that is not too old and not stale."""

    def __init__(self, series: Series, when: When) -> None:
        self.series = series
        self.when = when

    def evaluate(self, context: Context) -> Column:
        """Values now, with the metric name."""
        return self.read(context)[0]

    def read(self, context: Context) -> tuple[Column, Integers]:
        """The column and the times (ms) of its samples."""
        self.series.look(context)
        if not self.series.selections:
            return empty(), np.empty(0, dtype=np.int64)
        at = self.when.moment(context)
        parts = [selection.instant(at, context.options.lookback) for selection in self.series.selections]
        values, times, present = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Column(self.series.frame, values, present), times


class RangeSelector:
    """`metric{...}[range] @ t offset o`; the range may count in scrape intervals of what it reads."""

    def __init__(self, series: Series, span: Span, when: When) -> None:
        self.series = series
        self.span = span
        self.when = when

    def read(self, context: Context) -> Ranged:
        """One block for each selection, in the order of the rows of `series.frame`."""
        self.series.look(context)
        end = self.when.moment(context)
        blocks = []
        for selection, interval in zip(self.series.selections, self.series.intervals, strict=True):
            start = end - self.span.at(interval)
            found = selection.samples(start, end)
            blocks.append(
                Block(start, end, context.at, found.times, found.columns, found.values, found.present)
            )
        return Ranged(self.series.frame, blocks)
