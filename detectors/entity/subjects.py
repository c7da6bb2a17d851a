"""Numbers for what something is said of: an entity, and each of its features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from detectors.entity.roster import Roster
from telemetry.bits import Ints

WHOLE = -1
"""In place of a feature: the entity as a whole."""


class Subjects:
    """Dense numbers, given when something is first said; valid until the series are renumbered."""

    def __init__(self, rosters: Sequence[Roster]) -> None:
        self._of: list[tuple[int, int, int]] = []
        self._numbers: list[Ints] = [
            np.empty((0, len(roster.kind.features) + 1), np.int64) for roster in rosters
        ]

    def of(self, subject: int) -> tuple[int, int, int]:
        """Kind, entity and feature, or WHOLE."""
        return self._of[subject]

    def numbers(self, kind: int, entities: Ints, features: Ints) -> Ints:
        """The subjects of pairs of an entity of a kind and a feature, `[n]` each."""
        if not len(entities):
            return np.empty(0, np.int64)
        own = self._numbers[kind]
        most = int(entities.max()) + 1
        if len(own) < most:
            larger = np.full((max(most, len(own) * 3 // 2), own.shape[1]), -1, np.int64)
            larger[: len(own)] = own
            own = self._numbers[kind] = larger
        found = own[entities, features]
        for place in np.flatnonzero(found < 0).tolist():
            found[place] = own[entities[place], features[place]] = len(self._of)
            self._of.append((kind, int(entities[place]), int(features[place])))
        return np.asarray(found)
