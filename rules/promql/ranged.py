"""A range vector: the samples of each series over a range, in blocks of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model.labels import NAME, Labels
from rules.promql.frame import Bools, Floats, Frame, Integers


@dataclass
class Block:
    """The samples of S series in (start, end] (ms): times, values and presence are [K, S], in time order.

    `at` is the moment of evaluation, which `@` and `offset` tell apart from the end. Times are kept as
    `shared` [K, G], a column for all series that share them, and `columns` [S].
    """

    start: int
    end: int
    at: int
    shared: Integers
    columns: Integers
    values: Floats
    present: Bools

    @cached_property
    def times(self) -> Integers:
        """When each sample was taken (ms)."""
        return self.shared.take(self.columns, axis=1)

    @cached_property
    def full(self) -> bool:
        """Whether no sample is missing, so that no row has to be looked for."""
        return bool(self.present.all())

    @cached_property
    def counts(self) -> Integers:
        """How many samples each series has."""
        rows, series = self.present.shape
        counts: Integers = np.full(series, rows) if self.full else self.present.sum(axis=0)
        return counts

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
    def first_values(self) -> Floats:
        """The oldest value of each series."""
        return self.values[0] if self.full else self.pick(self.values, self.first)

    @cached_property
    def last_values(self) -> Floats:
        """The newest value of each series."""
        return self.values[-1] if self.full else self.pick(self.values, self.last)

    @cached_property
    def first_times(self) -> Floats:
        """When the oldest sample of each series was taken (ms)."""
        return self._time_at(0) if self.full else self.pick(self.times, self.first)

    @cached_property
    def last_times(self) -> Floats:
        """When the newest sample of each series was taken (ms)."""
        return self._time_at(-1) if self.full else self.pick(self.times, self.last)

    def _time_at(self, row: int) -> Floats:
        times: Floats = self.shared[row].astype(np.float64).take(self.columns)
        return times

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


@dataclass(slots=True)
class Ranged:
    """The rows of `frame`, block after block; of which rows the metric name goes, see Column."""

    frame: Frame
    blocks: list[Block]
    dropped: bool | Bools = False

    def labels(self, row: int) -> Labels:
        """The labels of a row, without a dropped name."""
        dropped = self.dropped if isinstance(self.dropped, bool) else bool(self.dropped[row])
        return self.frame[row].without(NAME) if dropped else self.frame[row]
