"""Which rows of two vectors belong together: vector matching and the set operators.

Source of the rules: prometheus/prometheus promql/engine.go, VectorBinop, VectorAnd, VectorOr,
VectorUnless. The keys of both frames are numbered once; joining values is then indexing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from model.labels import NAME
from rules.promql.context import Context
from rules.promql.errors import EvaluationError
from rules.promql.frame import ALL, Bools, Column, Floats, Frame, Integers, Projection, empty
from rules.promql.node import Node, column

Operate = Callable[[Floats, Floats], tuple[Floats, Bools | bool]]


@dataclass(frozen=True, slots=True)
class Matching:
    """`on (labels)` or `ignoring (labels)`, and which side may have many rows for one of the other."""

    on: bool = False
    labels: tuple[str, ...] = ()
    many: str = ""
    """`left` for group_left, `right` for group_right, empty for one to one."""
    include: tuple[str, ...] = ()

    @property
    def projection(self) -> Projection:
        """The labels that must be equal."""
        names = frozenset(self.labels)
        return Projection(True, names) if self.on else Projection(False, names | {NAME})


class Numbering:
    """The keys of two frames as numbers in one space; made again when a frame is another object."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._frames: tuple[Frame, Frame] | None = None
        self.left: Integers = np.empty(0, dtype=np.int64)
        self.right: Integers = np.empty(0, dtype=np.int64)
        self.size = 0

    def look(self, left: Frame, right: Frame) -> None:
        """Bring `left`, `right` (a number for each row) and `size` (how many there are) up to date."""
        if self._frames is not None and self._frames[0] is left and self._frames[1] is right:
            return
        known: dict[object, int] = {}
        self.left, self.right = (
            np.array(
                [known.setdefault(key, len(known)) for key in frame.keys(self._projection)], dtype=np.int64
            )
            for frame in (left, right)
        )
        self.size = len(known)
        self._frames = left, right


class Join:
    """One-to-one, many-to-one and one-to-many matching of two vectors."""

    def __init__(self, matching: Matching, drops_name: bool) -> None:
        self._matching = matching
        self._drops_name = drops_name
        self._numbering = Numbering(matching.projection)
        self._framed: tuple[Frame, Frame, Integers, Frame] | None = None

    def apply(self, left: Column, right: Column, operate: Operate) -> Column:
        """The rows that match, combined by `operate(left values, right values)`.

        Raises EvaluationError where Prometheus does: several rows on the one side, or results that
        are not told apart by their labels.
        """
        swapped = self._matching.many == "right"
        many, one = (right, left) if swapped else (left, right)
        self._numbering.look(many.frame, one.frame)
        if not (many.present.any() and one.present.any()):
            return empty()  # as Prometheus: where nothing can match, nothing is ambiguous
        rows, partner = self._pair(many, one)
        pair = many.values[rows], one.values[partner[rows]]
        values, holds = operate(*(reversed(pair) if swapped else pair))
        kept = rows[np.broadcast_to(np.asarray(holds), rows.shape)]
        if not self._matching.many:
            self._only_once(many, kept)
        result = np.full(len(many.values), np.nan)
        result[rows] = values
        present = np.zeros(len(result), dtype=np.bool_)
        present[kept] = True
        dropped = False if self._drops_name else many.dropped
        column = Column(self._frame(many.frame, one.frame, partner), result, present, dropped)
        return column.checked()

    def _pair(self, many: Column, one: Column) -> tuple[Integers, Integers]:
        """The rows of `many` that have a partner, and for each row of it the partner's row or -1."""
        present = np.flatnonzero(one.present)
        numbers = self._numbering.right[present]
        if len(numbers) and np.bincount(numbers).max() > 1:
            row = present[np.bincount(numbers)[numbers].argmax()]
            side = "left" if self._matching.many == "right" else "right"
            raise EvaluationError(
                f"found duplicate series for the match group of {one.frame[int(row)]} on the {side} side of "
                "the operation: many-to-many matching is not allowed, the match labels must be unique there"
            )
        row_of = np.full(self._numbering.size, -1, dtype=np.int64)
        row_of[numbers] = present
        partner = row_of[self._numbering.left]
        return np.flatnonzero(many.present & (partner >= 0)), partner

    def _only_once(self, many: Column, kept: Integers) -> None:
        numbers = self._numbering.left[kept]
        if len(numbers) and np.bincount(numbers).max() > 1:
            row = kept[np.bincount(numbers)[numbers].argmax()]
            raise EvaluationError(
                f"multiple matches for labels of {many.frame[int(row)]}: many-to-one matching must be "
                "explicit (group_left or group_right)"
            )

    def _frame(self, many: Frame, one: Frame, partner: Integers) -> Frame:
        """The labels of the result; remembered as long as the same rows find the same partners."""
        known = self._framed
        same = known is not None and known[0] is many and known[1] is one
        if known is not None and same and (not self._matching.include or np.array_equal(known[2], partner)):
            return known[3]
        frame = self._make_frame(many, one, partner)
        self._framed = many, one, partner, frame
        return frame

    def _make_frame(self, many: Frame, one: Frame, partner: Integers) -> Frame:
        matching = self._matching
        if not matching.many:
            # One to one: no two rows that match have equal labels, or `_only_once` had said so, unless what
            # told them apart is the name that goes.
            by_name = self._drops_name and matching.on and NAME in matching.labels
            return many.project(self._left_over(), unique=not by_name)
        nameless = many.nameless if self._drops_name else many
        if not matching.include:
            return nameless
        labels = [
            row.merged({name: one[int(other)].value(name) for name in matching.include})
            if other >= 0
            else row
            for row, other in zip(nameless, partner, strict=True)
        ]
        return Frame(labels, many.intervals)

    def _left_over(self) -> Projection:
        names = frozenset(self._matching.labels)
        dropped = frozenset({NAME}) if self._drops_name else frozenset()
        return Projection(True, names - dropped) if self._matching.on else Projection(False, names | dropped)


class SetOperator:
    """`and`, `or`, `unless`."""

    def __init__(self, op: str, left: Node, right: Node, matching: Matching) -> None:
        self._op = op
        self._left = left
        self._right = right
        self._numbering = Numbering(matching.projection)
        self._joined: tuple[Frame, Frame, Frame] | None = None

    def evaluate(self, context: Context) -> Column:
        """Rows of the left side that have (or lack) a partner; for `or` those of the right side too."""
        left, right = column(self._left, context), column(self._right, context)
        numbering = self._numbering
        numbering.look(left.frame, right.frame)
        if self._op == "or":
            return self._either(left, right)
        there = np.zeros(numbering.size, dtype=np.bool_)
        there[numbering.right[right.present]] = True
        partnered = there[numbering.left]
        present = left.present & (partnered if self._op == "and" else ~partnered)
        return Column(left.frame, left.values, present, left.dropped)

    def _either(self, left: Column, right: Column) -> Column:
        there = np.zeros(self._numbering.size, dtype=np.bool_)
        there[self._numbering.left[left.present]] = True
        added = right.present & ~there[self._numbering.right]
        return Column(
            self._concatenated(left.frame, right.frame),
            np.concatenate([left.values, right.values]),
            np.concatenate([left.present, added]),
            _joined_dropped(left, right),
        ).checked()

    def _concatenated(self, left: Frame, right: Frame) -> Frame:
        if self._joined is None or self._joined[0] is not left or self._joined[1] is not right:
            intervals = np.concatenate([left.intervals, right.intervals])
            self._joined = left, right, Frame([*left, *right], intervals, ALL)
        return self._joined[2]


def _joined_dropped(left: Column, right: Column) -> bool | Bools:
    if isinstance(left.dropped, bool) and isinstance(right.dropped, bool) and left.dropped == right.dropped:
        return left.dropped
    return np.concatenate([np.broadcast_to(side.dropped, side.present.shape) for side in (left, right)])
