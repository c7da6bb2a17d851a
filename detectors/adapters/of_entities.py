"""Detectors of other libraries over entities: the rows that `state` judges, and another model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.adapters.custom import Custom
from detectors.adapters.features import RowFeatures
from detectors.adapters.of_pyod import Pyod
from detectors.adapters.of_river import River
from detectors.adapters.settings import CustomSettings
from detectors.contract import EMPTY, Moment, MomentDetector, Results, State, nothing
from detectors.entity.pool import FRESH
from detectors.entity.roster import Member, Roster
from detectors.entity.state import FORGET, LEAST_FEATURES
from model.labels import NAME, Labels
from telemetry.bits import Flags, Ints
from telemetry.window import IdRemap, Window

Rosters = Callable[[str], Roster]
"""The entities of a kind, as they are numbered until the next renumbering of the series."""
_FREE = _NONE = -1
_LEFT_OUT = -2


class EntityPlaces:
    """A place for each watched entity, below `most`: those that came first, known by their prints."""

    def __init__(self, kind: str, most: int) -> None:
        self.ids: Ints = np.full(most, _FREE, np.int64)
        """By place the print of the entity."""
        self._kind = kind
        self._of: Ints = EMPTY  # place by number of entity

    @property
    def left_out(self) -> int:
        """Entities that have no place, for there are no more."""
        return int((self._of == _LEFT_OUT).sum())

    def group(self, place: int) -> str:
        """The kind: on scales of their own they are alike."""
        return self._kind

    def find(self, members: Sequence[Member], seen: Flags) -> Ints:
        """The place of each entity, `[members]`, negative: none; those that are seen are given one."""
        more = np.full(len(members) - len(self._of), _NONE, np.int64)
        self._of = np.concatenate((self._of, more))
        new = np.flatnonzero((self._of == _NONE) & seen).tolist()
        if new:
            known = {self.ids[place]: place for place in np.flatnonzero(self.ids != _FREE).tolist()}
            free = iter(np.flatnonzero(self.ids == _FREE).tolist())
            # Whichever series came first: of one moment the order is that of the prints.
            for entity in sorted(new, key=lambda entity: members[entity].print):
                print_ = members[entity].print
                place = known.get(print_)
                if place is None and (place := next(free, None)) is not None:
                    self.ids[place] = print_
                self._of[entity] = _LEFT_OUT if place is None else place
        return self._of

    def free(self, places: Ints) -> None:
        """Let their entities go, so that others get these places."""
        self.ids[places] = _FREE
        self._of[np.isin(self._of, places) | (self._of == _LEFT_OUT)] = _NONE

    def renumbered(self) -> None:
        """The entities have other numbers now."""
        self._of = EMPTY

    def restore(self, ids: Ints, size: int) -> None:
        """Take over who had a place. Raises ValueError where it does not fit."""
        used = ids[ids != _FREE]
        if len(ids) != len(self.ids) or (used < 0).any() or len(np.unique(used)) != len(used):
            raise ValueError("the watched entities do not fit")
        self.ids = np.array(ids, np.int64)
        self._of = EMPTY


class OfEntities(Custom, MomentDetector):
    """A row of features of each entity of a kind that has a new sample and something to do.

    The features are those of docs/entities.md, each on a scale from 0 to 1 that fits it in this very entity;
    one that is missing is taken to be as usual, and with fewer than four there is no row. `state` lays out
    which series they are made of: it must be told of the series before.

    When it fails: as the detector of the library does, of which nobody knows whether it fits such rows.
    """

    by_source = False

    def __init__(self, settings: CustomSettings, rosters: Rosters) -> None:
        assert settings.entity is not None
        most = settings.max_series
        self._kind = settings.entity
        self._rosters = rosters
        self._window: Window | None = None
        self.places = EntityPlaces(self._kind, most)
        self.features = RowFeatures(most, settings.width, settings.warm_up // 2, LEAST_FEATURES)
        self._last: Ints = np.zeros(most, np.int64)  # newest sample of the last row, ms
        self._standing: Flags = np.zeros(most, np.bool_)  # something stands that must be ended one day
        super().__init__(settings, self.places, self.features)

    def notice(self, window: Window, known: int) -> None:
        """`state` looks at the series."""
        self._window = window

    def watched(self, size: int) -> Flags:
        """None: `state` sees what there is."""
        return np.zeros(size, np.bool_)

    def labels(self, window: Window, subject: int, result: str) -> Labels:
        """Those of the entity."""
        return self._roster.labels(window, subject).merged({NAME: result, "detector": self.name})

    def home(self, subject: int) -> int:
        """A living series of the entity."""
        assert self._window is not None  # a subject comes of a noticed series
        return self._roster.home(self._window, subject)

    def step(self, moment: Moment) -> Results:
        """Judge the row of each entity that has one, then learn from it."""
        self._forget(moment.at)
        roster = self._roster
        if not roster.members:
            return nothing(1)
        rows, newest = roster.features(moment, FRESH)
        places = self.places.find(roster.members, (~np.isnan(rows)).sum(axis=1) >= LEAST_FEATURES)
        restarted = places[roster.restarted(moment)]
        self.restart(restarted[restarted >= 0])
        chosen = np.flatnonzero(places >= 0)
        fresh = newest[chosen] > self._last[places[chosen]]
        chosen = chosen[fresh & ~roster.idle(rows, moment, FRESH)[chosen]]
        chosen = chosen[np.argsort(self.places.ids[places[chosen]])]
        at, times = places[chosen], newest[chosen]
        self._last[at] = times
        found = self.judged(moment.at, at, chosen, times, self.features.step(at, rows[chosen]))
        told = ~np.isnan(found.values[:, 0])
        self._standing[places[found.subjects[told]]] = True
        over = self._silent(places, moment.at)
        return Results(found.times, found.subjects, found.values, over, np.full(len(over), moment.at))

    def remap(self, remap: IdRemap) -> None:
        """Follow a renumbering: what is known of entities stays, `state` looks for their series again."""
        self.places.renumbered()

    def snapshot(self, size: int) -> State:
        """What is known of the entities, by place; nothing of it is by series."""
        return {**super().snapshot(size), "last": self._last.copy(), "said": self._standing.copy()}

    def restore(self, state: Mapping[str, NDArray[Any]], size: int) -> None:
        """Take over a snapshot. Raises KeyError or ValueError where it does not fit."""
        last, said = np.array(state["last"], np.int64), np.array(state["said"], np.bool_)
        if last.shape != self._last.shape or said.shape != self._standing.shape:
            raise ValueError("what was said of entities does not fit")
        super().restore(state, size)
        self._last, self._standing = last, said

    @property
    def bytes(self) -> int:
        """Memory of what it keeps."""
        return super().bytes + self._last.nbytes + self._standing.nbytes

    @property
    def _roster(self) -> Roster:
        return self._rosters(self._kind)

    def _silent(self, places: Ints, at: int) -> Ints:
        """The entities that have had no row for too long, and of which something was said."""
        some = np.flatnonzero(places >= 0)
        held = places[some]
        late = some[self._standing[held] & (self._last[held] <= at - FRESH)]
        assert self._window is not None
        slow = [3 * self._roster.interval(self._window, entity) for entity in late.tolist()]
        over: Ints = late[self._last[places[late]] <= at - np.array(slow, np.int64)]
        self._standing[places[over]] = False
        return over

    def _forget(self, at: int) -> None:
        """Let entities go that have had no row for a day."""
        gone = np.flatnonzero((self.places.ids != _FREE) & (self._last > 0) & (self._last < at - FORGET))
        if len(gone):
            self.free(gone)
            self.places.free(gone)
            self._last[gone], self._standing[gone] = 0, False


class RiverOfEntities(OfEntities, River):
    """River with a model for each entity, asked about its rows.

    When it fails: as River does; and what was wrong from the first row on is normal.
    """


class PyodOfEntities(OfEntities, Pyod):
    """Pyod with one model for all entities of a kind.

    When it fails: as Pyod does; and what was wrong from the first row on is normal.
    """
