"""Which targets and series there are, and in which ring each of them lies.

A ring that is too short for what its group sends within retention is exchanged for one with twice the slots;
so a fast sender costs its own memory only.
"""

from __future__ import annotations

import numpy as np

from model.labels import Labels
from telemetry.arena import BudgetExceeded
from telemetry.bits import Ints
from telemetry.index import Index
from telemetry.settings import WindowLimits
from telemetry.storage import NOBODY, Storage
from telemetry.targets import Target

OWN_SLOTS = 64  # of a series whose interval nobody knows: 15 min at 15 s
MOST_FIRST_SLOTS = 1024  # a ring starts no larger, whatever interval a sender claims


class LimitExceeded(Exception):
    """The window takes no more series; `reason` is the label value under which it is counted."""

    def __init__(self, reason: str, why: str) -> None:
        super().__init__(why)
        self.reason = reason


class Registry:
    """Targets, series and their labels; get or make, move, drop."""

    def __init__(self, storage: Storage, retention: int, limits: WindowLimits) -> None:
        self.storage = storage
        self.index = Index()
        self.labels: list[Labels] = []  # by id; those of dropped series stay until they are renumbered
        self.types: dict[str, str] = {}
        self.targets: list[Target | None] = []  # by index; None once dropped
        self.id_of: dict[Labels, int] = {}
        self.target_of: dict[str, Target] = {}
        self.generation = 0
        self.added = self.dropped = self.growths = 0
        self._retention = retention
        self._limits = limits

    def target(self, key: str, interval: int) -> Target:
        """The target of this key; get or make. Raises LimitExceeded("memory")."""
        target = self.target_of.get(key)
        try:
            if target is None:
                target = Target(key, len(self.targets), interval)
                if interval:
                    self._give_ring(target, self._first_slots(interval))
                self.targets.append(target)
                self.target_of[key] = target
            elif target.interval != interval:
                self._change_interval(target, interval)
        except BudgetExceeded as error:
            raise LimitExceeded("memory", f"no memory for target {key}: {error}") from error
        return target

    def series(self, target: Target, labels: Labels, metric_type: str) -> int:
        """The id of a series; get or make. Raises LimitExceeded."""
        sid = self.id_of.get(labels)
        try:
            if sid is None:
                sid = self._add(target, labels)
            elif self.storage.series.owner[sid] != target.index:
                self._share(sid, target)
        except BudgetExceeded as error:
            raise LimitExceeded("memory", f"no memory for series {labels}: {error}") from error
        if metric_type != "unknown":
            self.types[labels.name] = metric_type
        return sid

    def _add(self, target: Target, labels: Labels) -> int:
        if len(self.id_of) >= self._limits.series:
            raise LimitExceeded("series_limit", f"the window holds {self._limits.series} series already")
        apart = target.interval == 0
        cadence, column = target.cadence, target.column
        if apart:
            cadence = self.storage.cadence(0, OWN_SLOTS, own=True)
            column = int(self.storage.cadences[cadence].add(1)[0])
        sid = self.storage.add(labels.name, cadence, column, target.index)
        (target.apart if apart else target.together).add(sid)
        self.labels.append(labels)
        self.id_of[labels] = sid
        self.index.add(sid, labels)
        self.generation += 1
        self.added += 1
        return sid

    def _share(self, sid: int, target: Target) -> None:
        """A second target sends this series: from now on it has a time column of its own, for both."""
        ids = np.array([sid], np.int64)
        self.set_apart(ids)
        owner = self.owner(sid)
        owner.apart.remove(ids)
        target.apart.add(sid)
        self.storage.series.owner[sid] = target.index

    def owner(self, sid: int) -> Target:
        """The target that sends (or was the last to claim) this living series."""
        target = self.targets[int(self.storage.series.owner[sid])]
        assert target is not None, f"series {sid} is dropped"
        return target

    def is_apart(self, ids: Ints) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which series have their own time column."""
        return self.storage.own[self.storage.series.cadence[ids]]

    def set_apart(self, ids: Ints) -> None:
        """Give living series time columns of their own. Raises BudgetExceeded; some may be moved then."""
        ids = np.unique(ids[~self.is_apart(ids)])
        for index in np.unique(self.storage.series.cadence[ids]):
            part = ids[self.storage.series.cadence[ids] == index]
            old = self.storage.cadences[index]
            self._move_apart(part, old.interval, old.slots)
            for owner in np.unique(self.storage.series.owner[part]).tolist():
                target = self.targets[owner]
                assert target is not None
                mine = part[self.storage.series.owner[part] == owner]
                target.together.remove(mine)
                target.apart.extend(mine)

    def lengthen_apart(self, ids: Ints) -> None:
        """Twice the slots for series apart, all of one cadence. Raises BudgetExceeded."""
        old = self.storage.cadences[self.storage.series.cadence[ids[0]]]
        columns = self.storage.series.group[ids]
        self._move_apart(ids, old.interval, 2 * old.slots)
        old.remove(columns)
        self.growths += 1

    def lengthen(self, target: Target) -> None:
        """Twice the slots for the series that share the target's time. Raises BudgetExceeded."""
        slots = 2 * self.storage.cadences[target.cadence].slots
        self._change_ring(target, slots)
        self.growths += 1

    def _move_apart(self, ids: Ints, interval: int, slots: int) -> None:
        cadence = self.storage.cadence(interval, slots, own=True)
        columns = self.storage.cadences[cadence].add(len(ids))
        try:
            self.storage.move(ids, self._names(ids), cadence, columns)
        except BudgetExceeded:
            self.storage.cadences[cadence].remove(columns)
            raise
        self.generation += 1

    def _change_interval(self, target: Target, interval: int) -> None:
        before, target.interval = target.interval, interval
        if interval == 0:
            self.set_apart(target.together.ids.copy())
            self._take_ring(target)
        elif before == 0:
            self._give_ring(target, self._first_slots(interval))
        else:
            held = self.storage.cadences[target.cadence].filled(np.array([target.column]))
            self._change_ring(target, max(self._first_slots(interval), int(held[0])))

    def _change_ring(self, target: Target, slots: int) -> None:
        old, column = target.cadence, target.column
        self._give_ring(target, slots)
        ids = target.together.ids.copy()
        try:
            if len(ids):
                groups = np.full(len(ids), target.column)
                self.storage.move(ids, self._names(ids), target.cadence, groups)
        except BudgetExceeded:
            self._take_ring(target)
            target.cadence, target.column = old, column
            raise
        self.storage.cadences[old].remove(np.array([column]))
        self.generation += 1

    def _give_ring(self, target: Target, slots: int) -> None:
        cadence = self.storage.cadence(target.interval, slots, own=False)
        column = int(self.storage.cadences[cadence].add(1)[0])
        target.cadence, target.column = cadence, column

    def _take_ring(self, target: Target) -> None:
        self.storage.cadences[target.cadence].remove(np.array([target.column]))
        target.cadence = target.column = -1

    def _first_slots(self, interval: int) -> int:
        return min(-(-self._retention // interval) + 2, MOST_FIRST_SLOTS)

    def _names(self, ids: Ints) -> list[str]:
        return [self.labels[sid].name for sid in ids.tolist()]

    def drop_target(self, key: str) -> int:
        """Drop a target and the series it owns; returns how many."""
        target = self.target_of.pop(key, None)
        if target is None:
            return 0
        ids = target.ids
        self.drop(ids)
        if target.interval:
            self._take_ring(target)
        self.targets[target.index] = None
        return len(ids)

    def drop_empty_targets(self) -> None:
        """Free the rings of targets that have no series: they have left, or are made again when they send."""
        for key in [
            key for key, target in self.target_of.items() if not target.together and not target.apart
        ]:
            self.drop_target(key)

    def drop(self, ids: Ints) -> None:
        """Drop living series; their ids stay unused until `renumber`."""
        if not len(ids):
            return
        owners = self.storage.series.owner[ids]
        for index in np.unique(owners).tolist():
            target = self.targets[index]
            assert target is not None
            target.together.remove(ids[owners == index])
            target.apart.remove(ids[owners == index])
        self.storage.remove(ids)
        gone = [(sid, self.labels[sid]) for sid in ids.tolist()]
        self.index.remove(gone)
        for _, labels in gone:
            del self.id_of[labels]
        self.generation += 1
        self.dropped += len(gone)

    def renumber(self) -> Ints:
        """Ids without gaps again: the new id of each old one, -1 for the dropped."""
        kept = np.flatnonzero(self.storage.series.owner[: self.storage.series.size] != NOBODY)
        new_ids = self.storage.renumber(kept)
        self.labels = [self.labels[sid] for sid in kept.tolist()]
        self._reindex()
        for target in self.target_of.values():
            target.together.replace(new_ids[target.together.ids])
            target.apart.replace(new_ids[target.apart.ids])
        living = {labels.name for labels in self.labels}
        self.types = {name: kind for name, kind in self.types.items() if name in living}
        self.generation += 1
        return new_ids

    def restore(
        self, labels: list[Labels], targets: list[tuple[str, int, int, int] | None], types: dict[str, str]
    ) -> None:
        """Take over labels by id, targets (key, interval, cadence, column) by index, and metric types."""
        self.labels, self.types = labels, types
        self._reindex()
        for index, known in enumerate(targets):
            target = None
            if known is not None:
                target = self.target_of[known[0]] = Target(known[0], index, known[1])
                target.cadence, target.column = known[2], known[3]
            self.targets.append(target)
        living = np.array(list(self.id_of.values()), np.int64)
        for sid, apart in zip(living.tolist(), self.is_apart(living).tolist(), strict=True):
            owner = self.owner(sid)
            (owner.apart if apart else owner.together).add(sid)

    def _reindex(self) -> None:
        """Build the look-ups anew from `labels`."""
        owners = self.storage.series.owner.tolist()
        self.id_of = {labels: sid for sid, labels in enumerate(self.labels) if owners[sid] != NOBODY}
        self.index.rebuild(self.id_of)
