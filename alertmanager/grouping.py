"""Groups: alerts that are told together, and when each group is due.

A new group waits group_wait for its first alerts (not if they began longer ago than that), a changed
one group_interval. Fleetowl adds: the first P0 of a group is due at once, and so, after a short wait,
is a group whose alerts have all ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from alertmanager.alerts import Alerts
from alertmanager.route import Route, routing_labels
from alertmanager.settings import FleetowlSettings
from alertmanager.sifted import Sifted
from alertmanager.tables import EpisodeKey
from model.alert import Alert, Tier, tier_of
from model.labels import Labels, format_labels
from model.moment import SECOND

GroupId = tuple[str, str]
"""Group key and receiver: two routes may make equal groups for different receivers."""

Place = tuple[int, tuple[str, ...]]
"""A route and the values of its group_by: finds a group without spelling its key."""

FILLS = SECOND // 2
"""A new group whose wait is past waits so long for the rest of its alerts, while more come in than fit."""

LINGERS = 30 * SECOND
"""How long Alertmanager may keep a group without alerts, which then waits group_interval for its next one.

Source: the interval of dispatch.Dispatcher's maintenance.
"""


@dataclass(frozen=True, slots=True)
class LastTold:
    """What the notification log remembers of a group: when it was last told, and of whom."""

    at: int
    firing: frozenset[int]


class Group:
    """The alerts of one route with equal group labels. `due_at` is its next flush (ms).

    `members` are its alerts by fingerprint, `over` those of them that have ended, `urgent` those of tier P0;
    `told` fired at the last flush, and `ended` had ended by then. `version` changes with its members.
    """

    __slots__ = (
        "alone", "due_at", "ended", "flushed", "key", "labels", "members", "over", "places", "put_off",
        "route", "sifted", "told", "urgent", "urgent_at", "version",
    )  # fmt: skip

    def __init__(self, route: Route, labels: Labels, key: str, due_at: int) -> None:
        self.route = route
        self.labels = labels
        self.key = key
        self.due_at = due_at
        self.flushed = False
        self.put_off = False
        self.members: dict[int, EpisodeKey] = {}
        self.over: set[int] = set()
        self.urgent: set[int] = set()
        self.told: frozenset[int] = frozenset()
        self.ended: dict[int, Alert] = {}
        self.urgent_at: int | None = None
        self.version = 0
        self.sifted: Sifted | None = None
        self.places: list[Place] = []
        self.alone = (self,)  # what most alerts have as their groups: made once

    @property
    def id(self) -> GroupId:
        """What it is known by."""
        return (self.key, self.route.receiver)


class Groups:
    """All groups, kept in step with the alerts. `filling` while more alerts wait than one step takes."""

    def __init__(
        self,
        root: Route,
        settings: FleetowlSettings,
        alerts: Alerts,
        told: Callable[[GroupId], LastTold | None],
        *,
        plain: bool = False,
    ) -> None:
        self._root = root
        self._settings = settings
        self._alerts = alerts
        self._told = told
        self._plain = plain
        self._groups: dict[GroupId, Group] = {}
        self._by_values: dict[Place, Group] = {}
        self._due: list[tuple[int, int, Group]] = []
        self._pushed = 0
        self._disaster_at: dict[str, int] = {}  # by receiver, when the last P0 left at once (ms)
        self.joined = 0
        self.filling = False

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, group: object) -> bool:
        return group in self._groups

    @property
    def next_at(self) -> int | None:
        """When (ms) the next group is due."""
        while self._due and not _stands(self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def get(self, group: GroupId) -> Group | None:
        """The group of this id, if it is there."""
        return self._groups.get(group)

    def due(self, now: int) -> Iterator[Group]:
        """The groups whose time has come, the longest waiting first; the caller says when they are next."""
        while self._due and self._due[0][0] <= now:
            entry = heapq.heappop(self._due)
            if _stands(entry):
                yield entry[-1]

    def schedule(self, group: Group, at: int) -> None:
        """Be due at `at` (ms), whatever was said before."""
        group.due_at = at
        self._pushed += 1
        heapq.heappush(self._due, (at, self._pushed, group))

    def hasten(self, group: Group, at: int) -> None:
        """Be due no later than `at` (ms)."""
        if at < group.due_at:
            self.schedule(group, at)

    def adopt(self, others: Iterable[Group]) -> None:
        """After a change of routes: what waited under the same name waits no longer than before."""
        for other in others:
            group = self._groups.get(other.id)
            if group is not None:
                self.hasten(group, other.due_at)

    def place(self, key: EpisodeKey, now: int) -> None:
        """Put a new or changed alert where its routes say, and set when those groups are due."""
        alert = self._alerts[key]
        episode = self._alerts.episode(key)
        if not episode.groups:
            episode.groups = self._join(key, alert, now)
        over = alert.resolved_at(now)
        for group in episode.groups:
            group.version += 1
            if key[0] in group.ended and group.ended[key[0]] != alert:
                del group.ended[key[0]]  # it changed since the flush: the next one must tell
            if over:
                group.over.add(key[0])
                self._hasten_end(group, now)
            else:
                group.over.discard(key[0])
                self._hasten_start(group, key[0], alert, now)

    def remove(self, group: Group, fingerprint: int) -> None:
        """Take one alert out of a group; an alert that is in no group any more is forgotten."""
        key = group.members.pop(fingerprint)
        group.version += 1
        group.ended.pop(fingerprint, None)
        group.over.discard(fingerprint)
        group.urgent.discard(fingerprint)
        episode = self._alerts.episode(key)
        episode.groups = tuple(other for other in episode.groups if other is not group)
        if not episode.groups:
            self._alerts.forget(key)

    def drop_if_empty(self, group: Group) -> None:
        """The notification log remembers what matters of a group without alerts."""
        if not group.members and self._groups.get(group.id) is group:
            del self._groups[group.id]
            for place in group.places:
                del self._by_values[place]

    def _join(self, key: EpisodeKey, alert: Alert, now: int) -> tuple[Group, ...]:
        seen = routing_labels(alert, plain=self._plain)
        urgent = tier_of(seen) is Tier.P0
        groups = [self._group(route, alert, seen, now) for route in self._root.match(seen)]
        for group in groups:
            before = group.members.get(key[0])
            if before is not None and before != key:
                self.remove(group, key[0])
            self.joined += bool(group.members)
            group.members[key[0]] = key
            if urgent:
                group.urgent.add(key[0])
        if len(groups) == 1:
            return groups[0].alone
        return tuple(dict.fromkeys(groups))

    def _group(self, route: Route, alert: Alert, seen: dict[str, str], now: int) -> Group:
        place = (id(route), route.group_values(seen))
        found = self._by_values.get(place)
        if found is None:
            labels = route.group_labels(alert, seen)
            key = f"{route.key}:{format_labels(labels)}"
            found = self._groups.get((key, route.receiver))
            if found is None:
                found = self._groups[key, route.receiver] = self._new(route, labels, key, now)
            found.places.append(place)
            self._by_values[place] = found
        return found

    def _new(self, route: Route, labels: Labels, key: str, now: int) -> Group:
        group = Group(route, labels, key, due_at=now + route.group_wait)
        told = self._told(group.id)
        # Told of lately, perhaps before a restart: then it is an old group and waits as one.
        if told is not None and now < told.at + self._remembered(told, route):
            group.flushed, group.told = True, told.firing
            group.due_at = min(told.at, now) + route.group_interval
            # A P0 that comes back right after its end is no first one: it waits the interval.
            group.urgent_at = None if told.firing else told.at
        self.schedule(group, group.due_at)
        return group

    def _remembered(self, told: LastTold, route: Route) -> int:
        if self._plain and not told.firing:
            return min(LINGERS, route.group_interval)
        return route.group_interval

    def _hasten_start(self, group: Group, fingerprint: int, alert: Alert, now: int) -> None:
        if not group.flushed and alert.starts_at + group.route.group_wait <= now:
            self.hasten(group, now + FILLS if self.filling else now)
        if fingerprint in group.urgent and self._settings.urgent_first and self._first_urgent(group, now):
            group.urgent_at = now
            self.hasten(group, now if self._is_alone(group, now) else now + group.route.group_wait)

    def _is_alone(self, group: Group, now: int) -> bool:
        """Whether the receiver has heard of no other P0 just now.

        What comes right behind the first may be the same disaster: it waits group_wait to be found out.
        """
        last = self._disaster_at.get(group.route.receiver)
        if last is not None and 0 <= now - last < group.route.group_wait:
            return False
        self._disaster_at[group.route.receiver] = now
        return True

    def _first_urgent(self, group: Group, now: int) -> bool:
        if group.urgent_at is not None and now - group.urgent_at < group.route.group_interval:
            return False
        return group.told.isdisjoint(group.urgent)

    def _hasten_end(self, group: Group, now: int) -> None:
        wait = self._settings.resolve_wait
        if wait is not None and group.flushed and len(group.over) == len(group.members):
            self.hasten(group, now + wait)


def _stands(entry: tuple[int, int, Group]) -> bool:
    """Whether the group is still due then: nothing hastened it, and it has not gone."""
    at, _, group = entry
    return group.due_at == at and bool(group.members)
