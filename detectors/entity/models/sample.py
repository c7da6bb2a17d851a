"""The rows that the models are fitted on: a bounded, seeded, slowly forgetting sample of all entities."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from detectors.compiled import compiled
from detectors.entity.models.baseline import RING, Baseline
from telemetry.bits import Flags, Ints

_FAR = 50.0  # softened scales, some 500 plain ones: a value that is no behaviour but a glitch
_FEW = 500  # rows: of more, those around a glitch are less than what a model takes for its tail
_STRAY = 0.2
"""Of few, rows with such values are left out, unless they are more than this part: then that is how they are.
A glitch is in RING rows, which are a sixth of the fewest that a model is fitted on."""


class Sample:
    """A reservoir: each calm row of the pool has the same chance, older ones fade (Aggarwal 2006).

    `rows` `[capacity, RING, d]` are in the scales of their time; `centre` and `scale` say which.
    """

    ARRAYS = ("rows", "centre", "scale", "entity", "seen")

    def __init__(self, capacity: int, width: int, seed: int) -> None:
        self.rows = np.zeros((capacity, RING, width), np.float32)
        self.centre = np.zeros((capacity, width))
        self.scale = np.ones((capacity, width))
        self.entity: Ints = np.full(capacity, -1, np.int64)
        self.seen: Ints = np.zeros(1, np.int64)
        self._seed = seed

    def offer(
        self,
        stack: NDArray[np.float32],
        entities: Ints,
        wanted: Flags,
        memory: int,
        baseline: Baseline,
    ) -> None:
        """Take some of the wanted rows; `memory` is in rows of all entities."""
        places: Ints = np.empty(len(entities), np.int64)
        _draw(self.seen, self._seed, wanted, memory, len(self.entity), places)
        taken = np.flatnonzero(places >= 0)
        places, who = places[taken], entities[taken]
        self.rows[places], self.entity[places] = stack[taken], who
        self.centre[places], self.scale[places] = baseline.centre[who], baseline.scale(who)

    def taken(self, baseline: Baseline) -> NDArray[np.float32]:
        """What is held, in today's scales of its entities: `[k, RING, d]`, a copy.

        No row says more than all of them: a value counts as at most the root of their number.
        """
        rows: NDArray[np.float32] = self.rows[self.entity != -1]
        alive = self.entity[self.entity != -1] >= 0
        places = np.flatnonzero(self.entity >= 0)
        who = self.entity[places]
        then, now = self.scale[places][:, None], baseline.scale(who)[:, None]
        moved = np.nan_to_num(self.centre[places] - baseline.centre[who])[:, None]
        stray = np.abs(rows).max(axis=(1, 2), initial=0.0) > _FAR
        edge = math.sqrt(max(1, len(rows)))
        rows[alive] = np.clip((rows[alive] * then + moved) / now, -edge, edge)
        if len(stray) < _FEW and stray.sum() <= _STRAY * len(stray):
            rows = rows[~stray]
        return np.clip(rows, -edge, edge)

    def forget(self, share: float) -> None:
        """So much of what it has seen is out of date: make room for new rows sooner."""
        self.seen[0] = int(self.seen[0] * (1.0 - share))

    def remap(self, new: Ints) -> None:
        """Follow a renumbering; rows of entities that are gone keep their old scales."""
        known = self.entity >= 0
        moved = new[self.entity[known]]
        self.entity[known] = np.where(moved < 0, -2, moved)


@compiled()
def _mixed(word):  # type: ignore[no-untyped-def]
    """SplitMix64's finaliser (Steele, Lea and Flood 2014)."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@compiled()
def _draw(seen, seed, wanted, memory, capacity, places):  # type: ignore[no-untyped-def]
    step = np.uint64(0x9E3779B97F4A7C15)
    for at in range(len(wanted)):
        places[at] = -1
        if not wanted[at]:
            continue
        number = seen[0]
        seen[0] = number + 1
        if number < capacity:
            places[at] = number
            continue
        word = _mixed(np.uint64(seed) * step + np.uint64(number + 1) * step)
        place = word % np.uint64(min(number + 1, max(memory, capacity)))
        if place < np.uint64(capacity):
            places[at] = place
