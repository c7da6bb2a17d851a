"""The route tree: which receivers an alert goes to, and with whom it is grouped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from alertmanager.matching import LabelMatch, in_order, old_style, parse_matchers
from alertmanager.settings import RouteSettings
from model.alert import Alert
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

    def group_labels(self, alert: Alert) -> Labels:
        """The labels that name the alert's group."""
        if self.group_by == (ALL_LABELS,):
            return alert.labels
        return routing_labels(alert).only(self.group_by)


def routing_labels(alert: Alert) -> Labels:
    """What routes see: the alert's labels, its tier also where severity implied it, its incident."""
    return Labels({"tier": alert.tier.name, "incident": alert.incident}).merged(alert.labels)


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
