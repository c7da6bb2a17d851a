"""Where the parts of entities stand among the series: from values by series to a matrix by entity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detectors.entity.feature import Part, Take
from telemetry.bits import Flags, Floats, Ints


class _Block(NamedTuple):
    """The series of one part, those of an entity side by side."""

    part: Part
    ids: Ints
    rows: Ints  # the entities that have some, ascending
    starts: Ints  # where those of each begin in `ids`


class Layout:
    """For one kind: `cells` are (part, entity, series), in any order; built anew when series come."""

    def __init__(self, parts: Sequence[Part], cells: Sequence[tuple[int, int, int]]) -> None:
        of = np.array(cells, np.int64).reshape(-1, 3)
        of = of[np.lexsort((of[:, 2], of[:, 1], of[:, 0]))]
        edges = np.searchsorted(of[:, 0], np.arange(len(parts) + 1))
        self.ids: Ints = np.unique(of[:, 2])
        self._blocks = [
            _block(part, of[start:end])
            for part, start, end in zip(parts, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
            if start < end
        ]

    def gather(
        self, times: Ints, values: Floats, since: int, entities: int
    ) -> tuple[dict[Part, Floats], Ints]:
        """Of each part that anybody has, a number an entity, `[entities]`; and the newest time of each (ms).

        That is 0 where there is none. `times` and `values` are by series; what is not newer than `since` (ms)
        is left out.
        """
        newest = np.zeros(entities, np.int64)
        of = {}
        for block in self._blocks:
            at, held = times[block.ids], values[block.ids]
            usable = ~np.isnan(held) & (at > since)
            at = np.where(usable, at, 0)
            held = np.where(usable, held, np.nan)
            if len(block.rows) < len(block.ids):
                at = np.maximum.reduceat(at, block.starts)
                held = _one(held, block, block.part.take)
            newest[block.rows] = np.maximum(newest[block.rows], at)
            if len(block.rows) < entities:
                some, held = held, np.full(entities, np.nan)
                held[block.rows] = some
            of[block.part] = held
        return of, newest

    def absent(self, parts: Sequence[Part], times: Ints, values: Floats, since: int, entities: int) -> Flags:
        """Which have a newest sample of one of these parts that says that nothing is known (NaN)."""
        found = np.zeros(entities, np.bool_)
        for block in self._blocks:
            if block.part in parts:
                said = np.isnan(values[block.ids]) & (times[block.ids] > since)
                found[block.rows] |= np.logical_or.reduceat(said, block.starts)
        return found


def _block(part: Part, cells: Ints) -> _Block:
    rows, starts = np.unique(cells[:, 1], return_index=True)
    return _Block(part, np.ascontiguousarray(cells[:, 2]), rows, starts)


def _one(values: Floats, block: _Block, take: Take) -> Floats:
    """The values of each entity as one; those that are missing are left out."""
    if take == "max":
        return np.asarray(np.fmax.reduceat(values, block.starts))
    if take == "min":
        return np.asarray(np.fmin.reduceat(values, block.starts))
    missing = np.isnan(values)
    total = np.add.reduceat(np.where(missing, 0.0, values), block.starts)
    count = np.add.reduceat(~missing, block.starts, dtype=np.int64)
    if take == "mean":
        total /= np.maximum(count, 1)
    return np.where(count > 0, total, np.nan)
