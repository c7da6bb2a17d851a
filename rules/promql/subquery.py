"""Subqueries: an expression evaluated at the steps of a range, as if its values had been recorded.

Source of the steps: prometheus/prometheus promql/engine.go. They are multiples of the step, whatever the
moment of evaluation, so neighbouring moments of a range query ask for the same ones; those are remembered.
"""

from __future__ import annotations

import numpy as np

from model.labels import Labels
from rules.promql.context import Context
from rules.promql.errors import EvaluationError
from rules.promql.frame import EMPTY, Column, Frame, either_dropped
from rules.promql.node import Node, column
from rules.promql.ranged import Block, Ranged
from rules.promql.scrapes import Span
from rules.promql.selectors import When


class Subquery:
    """`expression[range:step] @ t offset o`. `step` in ms, 0 for the configured one."""

    def __init__(self, operand: Node, span: Span, step: int, when: When) -> None:
        self._operand = operand
        self._span = span
        self._step = step
        self._when = when
        self._united: tuple[list[Labels], Frame] | None = None

    def read(self, context: Context) -> Ranged:
        """One block with a row for each step in (end - range, end]."""
        step = self._step or context.options.subquery_step
        end = self._when.moment(context)
        start = end - self._span.fixed
        moments = range((start // step + 1) * step, end + 1, step)
        steps = self._steps(context, moments)
        if not steps:
            return Ranged(EMPTY, [])
        frame, values, present, dropped = self._together(steps)
        times = np.array(moments, dtype=np.int64)[:, None]
        columns = np.zeros(len(frame), dtype=np.int64)
        return Ranged(frame, [Block(start, end, context.at, times, columns, values, present)], dropped)

    def _steps(self, context: Context, moments: range) -> list[Column]:
        known: dict[int, Column] = context.query.memo.get(self, {})
        self._count(context, len(moments) - len(known.keys() & set(moments)) if known else len(moments))
        now = {
            at: known[at] if at in known else column(self._operand, Context(context.query, at))
            for at in moments
        }
        context.query.memo[self] = now
        return list(now.values())

    @staticmethod
    def _count(context: Context, steps: int) -> None:
        """Raises EvaluationError if the subqueries of the query have too many steps together."""
        memo, most = context.query.memo, context.options.max_steps
        memo[Subquery] = memo.get(Subquery, 0) + steps
        if most and memo[Subquery] > most:
            raise EvaluationError(
                f"subqueries are evaluated at more than {most} moments: take a longer step or a shorter range"
            )

    def _together(self, columns: list[Column]) -> tuple[Frame, np.ndarray, np.ndarray, bool | np.ndarray]:
        """Frame, values and presence ([K, S]) and dropped names of all steps."""
        frames = {id(one.frame): one.frame for one in columns}
        if len(frames) == 1:
            dropped: bool | np.ndarray = False
            for one in columns:
                dropped = either_dropped(dropped, one.dropped)
            values = np.stack([one.values for one in columns])
            return columns[0].frame, values, np.stack([one.present for one in columns]), dropped
        frame, place = self._union(list(frames.values()))
        values = np.full((len(columns), len(frame)), np.nan)
        present = np.zeros(values.shape, dtype=np.bool_)
        gone = np.zeros(len(frame), dtype=np.bool_)
        for step, one in enumerate(columns):
            rows = np.flatnonzero(one.present)
            cells = place[id(one.frame)][rows]
            values[step, cells] = one.values[rows]
            present[step, cells] = True
            gone[cells] |= np.broadcast_to(one.dropped, one.present.shape)[rows]
        return frame, values, present, gone

    def _union(self, frames: list[Frame]) -> tuple[Frame, dict[int, np.ndarray]]:
        """A frame of all label sets, and for each frame where its rows are in it."""
        known: dict[Labels, int] = {}
        intervals: list[int] = []
        place: dict[int, np.ndarray] = {}
        for frame in frames:
            rows = np.empty(len(frame), dtype=np.int64)
            for row, one in enumerate(frame):
                rows[row] = known.setdefault(one, len(known))
                if len(known) > len(intervals):
                    intervals.append(int(frame.intervals[row]))
            place[id(frame)] = rows
        labels = list(known)
        if self._united is None or self._united[0] != labels:
            self._united = labels, Frame(labels, np.array(intervals, dtype=np.int64), unique=True)
        return self._united[1], place
