"""Groups: alerts that are told together, and when each group is due.

A new group waits group_wait for its first alerts (not if they began longer ago than that), a changed
one group_interval. Fleetowl adds: the first P0 of a group is due at once, and so, after a short wait,
is a group whose alerts have all ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from alertmanager.alerts import Alerts
from alertmanager.route import Route, routing_labels
from alertmanager.settings import FleetowlSettings
from alertmanager.tables import EpisodeKey
from model.alert import Alert, Tier
from model.labels import Labels, format_labels

GroupId = tuple[str, str]
"""Group key and receiver: two routes may make equal groups for different receivers."""


@dataclass(frozen=True, slots=True)
class LastTold:
    """What the notification log remembers of a group: when it was last told, and of whom."""

    at: int
    firing: frozenset[int]


@dataclass
class Group:
    """The alerts of one route with equal group labels. `due_at` is its next flush (ms)."""

    route: Route
    labels: Labels
    key: str
    due_at: int
    flushed: bool = False
    members: dict[int, EpisodeKey] = field(default_factory=dict)
    told: frozenset[int] = frozenset()
    ended: dict[int, Alert] = field(default_factory=dict)
    urgent_at: int | None = None
    stays: frozenset[tuple[int, str, str]] = frozenset()

    @property
    def id(self) -> GroupId:
        """What it is known by."""
        return (self.key, self.route.receiver)

    def hasten(self, at: int) -> None:
        """Be due no later than `at`."""
        self.due_at = min(self.due_at, at)


class Groups:
    """All groups, kept in step with the alerts."""

    def __init__(
        self,
        root: Route,
        settings: FleetowlSettings,
        alerts: Alerts,
        told: Callable[[GroupId], LastTold | None],
    ) -> None:
        self._root = root
        self._settings = settings
        self._alerts = alerts
        self._told = told
        self._groups: dict[GroupId, Group] = {}
        self._places: dict[EpisodeKey, set[GroupId]] = {}

    def __iter__(self) -> Iterator[Group]:
        return iter(list(self._groups.values()))

    def __len__(self) -> int:
        return len(self._groups)

    def __contains__(self, group: object) -> bool:
        return group in self._groups

    def get(self, group: GroupId) -> Group | None:
        """The group of this id, if it is there."""
        return self._groups.get(group)

    def place(self, key: EpisodeKey, now: int) -> None:
        """Put a new or changed alert where its routes say, and set when those groups are due."""
        alert = self._alerts[key]
        for group in self._groups_of(key, alert, now):
            ended = group.ended.get(key[0])
            if ended is not None and ended != alert:
                del group.ended[key[0]]  # it changed since the flush: the next one must tell
            if alert.resolved_at(now):
                self._hasten_end(group, now)
            else:
                self._hasten_start(group, alert, now)

    def remove(self, group: Group, fingerprint: int) -> None:
        """Take one alert out of a group; an alert that is in no group any more is forgotten."""
        key = group.members.pop(fingerprint)
        group.ended.pop(fingerprint, None)
        self._leave(key, group.id)

    def drop_if_empty(self, group: Group) -> None:
        """The notification log remembers what matters of a group without alerts."""
        if not group.members:
            self._groups.pop(group.id, None)

    def _groups_of(self, key: EpisodeKey, alert: Alert, now: int) -> list[Group]:
        if key not in self._places:
            self._places[key] = set()
            for route in self._root.match(routing_labels(alert)):
                self._join(self._group(route, alert, now), key)
        return [self._groups[place] for place in self._places[key]]

    def _join(self, group: Group, key: EpisodeKey) -> None:
        before = group.members.get(key[0])
        if before is not None and before != key:
            self.remove(group, key[0])
        group.members[key[0]] = key
        self._places[key].add(group.id)

    def _leave(self, key: EpisodeKey, group: GroupId) -> None:
        places = self._places[key]
        places.discard(group)
        if not places:
            del self._places[key]
            self._alerts.forget(key)

    def _group(self, route: Route, alert: Alert, now: int) -> Group:
        labels = route.group_labels(alert)
        key = f"{route.key}:{format_labels(labels)}"
        found = self._groups.get((key, route.receiver))
        if found is None:
            found = Group(route, labels, key, due_at=now + route.group_wait)
            told = self._told(found.id)
            # Told of lately, perhaps before a restart: then it is an old group and waits as one.
            if told is not None and now < told.at + route.group_interval:
                found.flushed, found.told = True, told.firing
                found.due_at = min(told.at, now) + route.group_interval
                # A P0 that comes back right after its end is no first one: it waits the interval.
                found.urgent_at = None if told.firing else told.at
            self._groups[found.id] = found
        return found

    def _hasten_start(self, group: Group, alert: Alert, now: int) -> None:
        if not group.flushed and alert.starts_at + group.route.group_wait <= now:
            group.hasten(now)
        if self._settings.urgent_first and alert.tier is Tier.P0 and self._first_urgent(group, now):
            group.urgent_at = now
            group.hasten(now)

    def _first_urgent(self, group: Group, now: int) -> bool:
        if group.urgent_at is not None and now - group.urgent_at < group.route.group_interval:
            return False
        told = (group.members[fingerprint] for fingerprint in group.told if fingerprint in group.members)
        return not any(self._alerts[key].tier is Tier.P0 for key in told)

    def _hasten_end(self, group: Group, now: int) -> None:
        wait = self._settings.resolve_wait
        if wait is None or not group.flushed:
            return
        if all(self._alerts[key].resolved_at(now) for key in group.members.values()):
            group.hasten(now + wait)
