"""The route tree: which receivers an alert goes to, and with whom it is grouped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from alertmanager.matching import LabelMatch, in_order, old_style, parse_matchers
from alertmanager.settings import RouteSettings
from model.alert import Alert, tier_of
from model.labels import Labels
from model.matcher import Matcher
from model.moment import HOUR, MINUTE, SECOND

ALL_LABELS = "..."

GROUP_WAIT = 5 * SECOND
GROUP_INTERVAL = MINUTE
REPEAT_INTERVAL = 4 * HOUR


@dataclass(frozen=True)
class Route:
    """A node with everything inherited. `key` is the path of matchers from the root, as Alertmanager's.

    `mute` and `active` name time intervals; they are the node's own and are not inherited.
    """

    key: str
    receiver: str
    group_by: tuple[str, ...] = ()
    group_wait: int = GROUP_WAIT
    group_interval: int = GROUP_INTERVAL
    repeat_interval: int = REPEAT_INTERVAL
    matches: LabelMatch = field(default_factory=lambda: LabelMatch(()))
    goes_on: bool = False
    children: tuple[Route, ...] = ()
    mute: tuple[str, ...] = ()
    active: tuple[str, ...] = ()

    def match(self, labels: Mapping[str, str]) -> list[Route]:
        """The nodes that take these labels; a parent only if none of its children does."""
        if not self.matches(labels):
            return []
        if not self.children:
            return [self]
        found: list[Route] = []
        for child in self.children:
            taken = child.match(labels)
            found += taken
            if taken and not child.goes_on:
                break
        return found or [self]

    def walk(self) -> Iterator[Route]:
        """This node and all below it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def group_values(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        """The values that tell the groups of this node apart, by group_by; a missing label has none."""
        if self.group_by == (ALL_LABELS,):
            return tuple(f"{name}={value}" for name, value in labels.items())
        return tuple([labels.get(name, "") for name in self.group_by])

    def group_labels(self, alert: Alert, labels: Mapping[str, str] | None = None) -> Labels:
        """The labels that name the group of an alert, of which routes see `labels`."""
        if self.group_by == (ALL_LABELS,):
            return alert.labels
        if labels is None:
            labels = routing_labels(alert)
        return Labels({name: labels.get(name, "") for name in self.group_by})


def routing_labels(alert: Alert, *, plain: bool = False) -> dict[str, str]:
    """What routes see: the alert's labels, its tier also where severity implied it, its incident.

    In a `plain` alertmanager.yml they see what was sent and nothing else, or it would not mean the same.
    """
    own = dict(alert.labels.pairs)
    if plain:
        return own
    return {"tier": tier_of(own).name, "incident": alert.incident, **own}


def build_route(settings: RouteSettings, parent: Route | None = None) -> Route:
    """The tree under `settings`, everything inherited."""
    matches = LabelMatch(matchers_of(settings))
    base = parent or Route(key="", receiver=settings.receiver or "")
    own = Route(
        key=f"{base.key}/{matches}" if parent else str(matches),
        receiver=settings.receiver or base.receiver,
        group_by=base.group_by if settings.group_by is None else settings.group_by,
        group_wait=base.group_wait if settings.group_wait is None else settings.group_wait,
        group_interval=settings.group_interval or base.group_interval,
        repeat_interval=settings.repeat_interval or base.repeat_interval,
        matches=matches,
        goes_on=settings.continue_,
        mute=settings.mute_time_intervals,
        active=settings.active_time_intervals,
    )
    children = tuple(build_route(child, own) for child in settings.routes)
    return Route(**{**vars(own), "children": children})


def matchers_of(settings: RouteSettings) -> list[Matcher]:
    """The node's matchers of all three spellings, in Alertmanager's order."""
    modern = [matcher for line in settings.matchers for matcher in parse_matchers(line)]
    return in_order([*old_style(settings.match, settings.match_re), *modern])
