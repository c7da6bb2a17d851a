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

    `at` is the moment of evaluation, which `@` and `offset` tell apart from the end.
    """

    start: int
    end: int
    at: int
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
