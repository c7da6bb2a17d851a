"""What an expression is worth, as its askers see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.labels import Labels
from rules.promql.errors import EvaluationError
from rules.promql.frame import Column, Floats, Frame, Integers, Value, frame_of
from rules.promql.ranged import Ranged


@dataclass(frozen=True, slots=True)
class Vector:
    """An instant vector: labels and values, aligned, and of each row the scrape interval (ms, 0 unknown)."""

    labels: list[Labels]
    values: Floats
    intervals: Integers


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number."""

    value: float


@dataclass(frozen=True, slots=True)
class Matrix:
    """A range vector: of each series its labels, the times (ms, ascending) and the values of its points."""

    labels: list[Labels]
    times: list[Integers]
    values: list[Floats]

    def series(self) -> Iterator[tuple[Labels, Integers, Floats]]:
        """(labels, times, values) of each."""
        return zip(self.labels, self.times, self.values, strict=True)


Answer = Vector | Scalar | str | Matrix


def answer_of(value: Value) -> Answer:
    """The result of an instant query."""
    if isinstance(value, float):
        return Scalar(value)
    if isinstance(value, str):
        return value
    value = value.done()
    rows = np.flatnonzero(value.present) if value.order is None else value.order
    frame = value.frame
    return Vector(frame.rows(rows), value.values[rows], frame.intervals[rows])


def matrix_of(ranged: Ranged) -> Matrix:
    """The result of an instant query for a range vector: the samples themselves."""
    labels: list[Labels] = []
    times: list[Integers] = []
    values: list[Floats] = []
    row = 0
    for block in ranged.blocks:
        for column in range(block.present.shape[1]):
            rows = block.present[:, column]
            if rows.any():
                labels.append(ranged.labels(row))
                times.append(block.times[rows, column])
                values.append(block.values[rows, column])
            row += 1
    order = sorted(range(len(labels)), key=lambda place: labels[place].pairs)
    return Matrix([labels[k] for k in order], [times[k] for k in order], [values[k] for k in order])


class Gathering:
    """Puts the values of the moments of a range query together by series.

    As long as the frame stays the same, and it does while no series come and go, rows stand for label sets
    and labels are looked at once.
    """

    def __init__(self) -> None:
        self.points = 0
        self._runs: dict[int, _Run] = {}

    def add(self, at: int, value: Value) -> None:
        """The value at `at` (ms), later than those before; a number is a series without labels.

        Raises EvaluationError.
        """
        if isinstance(value, str):
            raise EvaluationError("a string has no values over a range")
        if isinstance(value, float):
            column = Column(_NUMBER, np.array([value]), np.ones(1, dtype=np.bool_))
        else:
            column = value.done()
        if column.present.any():
            self.points += self._runs.setdefault(id(column.frame), _Run(column.frame)).add(at, column)

    def series(self) -> dict[Labels, tuple[Integers, Floats]]:
        """Times (ms, ascending) and values of each series, in no order."""
        parts: dict[Labels, list[tuple[Integers, Floats]]] = {}
        for run in self._runs.values():
            for labels, times, values in run.series():
                parts.setdefault(labels, []).append((times, values))
        return {labels: _joined(found) for labels, found in parts.items()}

    def matrix(self) -> Matrix:
        """All series, sorted by their labels."""
        found = self.series()
        labels = sorted(found, key=lambda one: one.pairs)
        return Matrix(labels, [found[one][0] for one in labels], [found[one][1] for one in labels])


_NUMBER = frame_of([Labels()])


class _Run:
    """The moments at which the result had one and the same frame: of each the rows and their values."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._times: list[int] = []
        self._rows: list[Integers] = []
        self._values: list[Floats] = []
        self._all = np.arange(len(frame))

    def add(self, at: int, column: Column) -> int:
        """Take a moment; how many points that makes."""
        whole = bool(column.present.all())
        rows = self._all if whole else np.flatnonzero(column.present)
        self._times.append(at)
        self._rows.append(rows)
        self._values.append(column.values if whole else column.values[rows])
        return len(rows)

    def series(self) -> Iterator[tuple[Labels, Integers, Floats]]:
        """(labels, times, values) of each series that has a point."""
        rows = np.concatenate(self._rows)
        order = np.argsort(rows, kind="stable")
        times = np.repeat(self._times, [len(found) for found in self._rows])[order]
        values = np.concatenate(self._values)[order]
        there, starts = np.unique(rows[order], return_index=True)
        ends = np.append(starts[1:], len(rows))[: len(there)]
        for labels, start, end in zip(self._frame.rows(there), starts.tolist(), ends.tolist(), strict=True):
            yield labels, times[start:end], values[start:end]


def _joined(parts: list[tuple[Integers, Floats]]) -> tuple[Integers, Floats]:
    if len(parts) == 1:
        return parts[0]
    times = np.concatenate([times for times, _ in parts])
    order = np.argsort(times)
    return times[order], np.concatenate([values for _, values in parts])[order]
