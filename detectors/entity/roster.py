"""The entities of one kind that the window's series speak of, and the features of each at a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from detectors.contract import EMPTY, Moment
from detectors.entity.identity import Key, class_of, key_of, labels_of, place_of, print_of
from detectors.entity.kinds import Kind
from detectors.entity.layout import Layout
from model.labels import Labels
from telemetry.bits import Flags, Floats, Ints
from telemetry.window import Window


@dataclass(slots=True)
class Member:
    """One entity. `anchor` is the series whose labels and target its results take; of the plainest it has."""

    key: Key
    print: int
    anchor: int
    plain: bool
    series: list[int] = field(default_factory=list)


class Roster:
    """Numbers its entities in the order in which it hears of them; a renumbering of the series ends all."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.members: list[Member] = []
        self._by_key: dict[Key, int] = {}
        self._cells: list[tuple[int, int, int]] = []
        self._shared: dict[Key, list[tuple[int, int]]] = {}  # by place: part and series
        self._at: dict[Key, list[int]] = {}  # by place: entities
        self._layout: Layout | None = None
        self._own: Ints = np.empty((0, 3), np.int64)  # of each cell entity, series, whether it is its own

    def notice(self, sid: int, labels: Labels) -> None:
        """Take a series in, if it is of one of the metrics of this kind."""
        for part in self.kind.places(labels.name, labels):
            if self.kind.parts[part].shared:
                self._share(part, sid, place_of(labels))
                continue
            key = key_of(self.kind.name, labels)
            if key is not None:
                plain = self.kind.parts[part].take == "mean" and not self.kind.parts[part].where
                self._add(self._member(key, sid, labels, plain=plain), part, sid)

    def watched(self) -> Ints:
        """The series that features are made of."""
        return self._laid().ids

    def features(self, moment: Moment, within: int) -> tuple[Floats, Ints]:
        """`[entities, features]`, NaN where there is none, and the time of the newest sample of each (ms)."""
        of, newest = self._laid().gather(moment.times, moment.values, moment.at - within, len(self.members))
        features = np.full((len(self.members), len(self.kind.features)), np.nan)
        for place, feature in enumerate(self.kind.features):
            value = feature.value(of)
            if value is not None:
                features[:, place] = value
        return features, newest

    def idle(self, features: Floats, moment: Moment, within: int) -> Flags:
        """Which have nothing to do: their load is 0, or left out for idleness by the hub.

        One of whose load nothing is known is taken to be busy.
        """
        load = features[:, self.kind.idle_columns]
        known = ~np.isnan(load)
        told = known.any(axis=1) | self._laid().absent(
            self.kind.idle_parts, moment.times, moment.values, moment.at - within, len(self.members)
        )
        return np.asarray(told & ~(known & (load != 0.0)).any(axis=1))

    def restarted(self, moment: Moment) -> Ints:
        """The entities of which at least half of the series of their own have begun anew.

        Half of those with a sample as new as that of a series that has: one counter alone is no restart.
        """
        if not len(moment.restarted):
            return EMPTY
        if len(self._own) != len(self._cells):
            own = [(entity, sid, not self.kind.parts[part].shared) for part, entity, sid in self._cells]
            self._own = np.array(own, np.int64).reshape(-1, 3)
        entity, sid, alone = self._own.T
        begun = np.isin(sid, moment.restarted) & (alone > 0)
        since = int(moment.times[moment.restarted].min())
        count = len(self.members)
        told = np.bincount(entity[(alone > 0) & (moment.times[sid] >= since)], minlength=count)
        anew = np.bincount(entity[begun], minlength=count)
        return np.flatnonzero((anew > 0) & (2 * anew >= told))

    def find(self, labels: Mapping[str, str]) -> int | None:
        """The entity that a label set speaks of."""
        key = key_of(self.kind.name, labels)
        return None if key is None else self._by_key.get(key)

    def labels(self, window: Window, entity: int) -> Labels:
        """What its results are labelled with."""
        return labels_of(self.kind.name, window.labels(self.members[entity].anchor))

    def classed(self, window: Window, entity: int) -> str:
        """Of which class it is, among its kind."""
        return class_of(window.labels(self.members[entity].anchor), self.kind.classed)

    def home(self, window: Window, entity: int) -> int:
        """A living series of it, the anchor if that lives."""
        member = self.members[entity]
        living = np.flatnonzero(window.alive(np.array([member.anchor, *member.series])))
        return [member.anchor, *member.series][int(living[0])] if len(living) else member.anchor

    def interval(self, window: Window, entity: int) -> int:
        """How often its target is scraped, ms; 0 where that is not known."""
        home = self.home(window, entity)
        return window.target_of(home).interval if window.alive(np.array([home]))[0] else 0

    def _laid(self) -> Layout:
        if self._layout is None:
            self._layout = Layout(self.kind.parts, self._cells)
        return self._layout

    def _member(self, key: Key, sid: int, labels: Labels, *, plain: bool) -> int:
        entity = self._by_key.get(key)
        if entity is None:
            entity = self._by_key[key] = len(self.members)
            self.members.append(Member(key, print_of(self.kind.name, key), sid, plain))
            if any(part.shared for part in self.kind.parts):
                place = place_of(labels)
                self._at.setdefault(place, []).append(entity)
                for part, shared in self._shared.get(place, ()):
                    self._add(entity, part, shared)
        elif plain and not self.members[entity].plain:
            self.members[entity].anchor, self.members[entity].plain = sid, True
        return entity

    def _share(self, part: int, sid: int, place: Key) -> None:
        self._shared.setdefault(place, []).append((part, sid))
        for entity in self._at.get(place, ()):
            self._add(entity, part, sid)

    def _add(self, entity: int, part: int, sid: int) -> None:
        self._cells.append((part, entity, sid))
        self.members[entity].series.append(sid)
        self._layout = None
