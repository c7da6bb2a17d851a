"""The profiles of the week of the series that have one: a bounded pool beside their states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.contract import EMPTY, State
from telemetry.bits import Ints
from telemetry.window import IdRemap

Arguments = tuple[Ints, Ints, NDArray[np.float32], Ints]


class Weeks:
    """At most `most` profiles; while all are taken, whoever wants one waits until one is given back.

    As long as there is room no series depends on another; when there is none, who came first has one.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: Ints = EMPTY  # ascending
        self._rows: Ints = EMPTY  # where the profile of each lies
        self._profiles: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._asked: Ints = EMPTY

    def arguments(self, samples: int) -> Arguments:
        """What the pass over so many samples reads and changes: see kernel."""
        self._asked = np.empty(samples + 2, np.int64)
        self._asked[:2] = 0
        return self._ids, self._rows, self._profiles, self._asked

    def settle(self) -> None:
        """Take what the pass found to be of no use, then give to those who asked."""
        wishes, back = self._asked[:2].tolist()
        if back:
            from detectors.streaming.week import BACK, STATUS

            kept = self._profiles[self._rows, STATUS] != BACK
            self._ids, self._rows = self._ids[kept], self._rows[kept]
        if wishes:
            self._begin(self._asked[2 : 2 + min(wishes, self._most - len(self._ids))])
        self._asked = EMPTY

    def _begin(self, ids: Ints) -> None:
        from detectors.streaming import week

        if len(ids):
            fresh = np.zeros(week.WIDTH, np.float32)
            week.begin(fresh)
            self._add(ids, np.tile(fresh, (len(ids), 1)))

    def _add(self, ids: Ints, profiles: NDArray[np.float32]) -> None:
        needs, has = len(self._ids) + len(ids), len(self._profiles)
        if has < needs:
            larger = np.zeros((max(needs, min(2 * has, self._most)), profiles.shape[1]), np.float32)
            if has:
                larger[:has] = self._profiles
            self._profiles = larger
        free = np.setdiff1d(np.arange(len(self._profiles)), self._rows)[: len(ids)]
        self._profiles[free] = profiles
        order = np.argsort(np.concatenate([self._ids, ids]))
        self._ids = np.concatenate([self._ids, ids])[order]
        self._rows = np.concatenate([self._rows, free])[order]

    def interrupt(self, ids: Ints) -> None:
        """The states of these begin anew, so the hour that is on teaches nothing. Their weeks stay.

        Monday's demand is the same after a rollout, and a rollout a week would leave no history.
        """
        found = np.isin(self._ids, ids)
        if found.any():
            from detectors.streaming.week import SEEN

            self._profiles[self._rows[found], SEEN] = -1.0

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering of the series."""
        ids, profiles = remap.new_ids[self._ids], self._taken()
        self._replace(ids[ids >= 0], profiles[ids >= 0])

    def snapshot(self) -> State:
        """Copies of all that it keeps: the bits of the profiles, `[n, numbers]`, and whose they are."""
        return {"week_ids": self._ids.copy(), "weeks": self._taken().view(np.uint32)}

    def parsed(self, state: Mapping[str, NDArray[Any]], size: int) -> tuple[Ints, NDArray[np.float32]]:
        """What `restore` takes, of a snapshot of `size` series. Raises KeyError or ValueError."""
        ids, bits = np.array(state["week_ids"]), np.asarray(state["weeks"])
        if not len(ids):
            return EMPTY, np.empty((0, 0), np.float32)
        from detectors.streaming.week import LESSONS, STATUS, TRIAL, USED, WIDTH

        if bits.shape != (len(ids), WIDTH) or bits.dtype != np.uint32 or ids.dtype != np.int64:
            raise ValueError(f"{len(ids)} profiles of the week have the shape {bits.shape}, not {WIDTH} wide")
        profiles = np.ascontiguousarray(bits).view(np.float32)
        odd = (ids[1:] <= ids[:-1]).any() or ids[0] < 0 or ids[-1] >= size
        if odd or not (np.isin(profiles[:, STATUS], (TRIAL, USED)) & (profiles[:, LESSONS] >= 0)).all():
            raise ValueError("profiles of the week are not those of a snapshot")
        best = np.argsort(profiles[:, STATUS] != USED, kind="stable")[: self._most]
        return ids[best], profiles[best]

    def restore(self, parsed: tuple[Ints, NDArray[np.float32]]) -> None:
        """Take over a snapshot; where there is less room than it has profiles, those in use first."""
        self._replace(*parsed)

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return sum(int(each.nbytes) for each in (self._ids, self._rows, self._profiles))

    def _taken(self) -> NDArray[np.float32]:
        return self._profiles[self._rows]

    def _replace(self, ids: Ints, profiles: NDArray[np.float32]) -> None:
        self._ids, self._rows, self._profiles = EMPTY, EMPTY, self._profiles[:0]
        if len(ids):
            self._add(ids, profiles)
