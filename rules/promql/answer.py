"""What an expression is worth, as its askers see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.labels import Labels
from rules.promql.errors import EvaluationError
from rules.promql.frame import Floats, Integers, Value
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
    return Vector([frame[int(row)] for row in rows], value.values[rows], frame.intervals[rows])


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
    """Puts the values of the moments of a range query together by series."""

    def __init__(self) -> None:
        self._points: dict[Labels, tuple[list[int], list[float]]] = {}

    def add(self, at: int, value: Value) -> None:
        """The value at `at` (ms); a number is a series without labels. Raises EvaluationError."""
        if isinstance(value, str):
            raise EvaluationError("a string has no values over a range")
        if isinstance(value, float):
            self._point(Labels(), at, value)
            return
        value = value.done()
        rows = np.flatnonzero(value.present)
        for row, number in zip(rows.tolist(), value.values[rows].tolist(), strict=True):
            self._point(value.frame[row], at, number)

    def _point(self, labels: Labels, at: int, value: float) -> None:
        times, values = self._points.setdefault(labels, ([], []))
        times.append(at)
        values.append(value)

    def matrix(self) -> Matrix:
        """All series, sorted by their labels."""
        labels = sorted(self._points, key=lambda one: one.pairs)
        points = [self._points[one] for one in labels]
        return Matrix(
            labels,
            [np.array(times, dtype=np.int64) for times, _ in points],
            [np.array(values, dtype=np.float64) for _, values in points],
        )
