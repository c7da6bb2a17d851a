"""What must hold between the parts of the section: names that are used are defined, and defined once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from alertmanager.settings.common import Place
from alertmanager.settings.route import RouteSettings
from model.settings import did_you_mean


class Names(NamedTuple):
    """The names that routes may use, each with its place, in the order of the file."""

    receivers: Sequence[tuple[Place, str]]
    intervals: Sequence[tuple[Place, str]]


def wrong_in(route: RouteSettings | None, names: Names) -> Iterator[tuple[Place, str]]:
    """Each contradiction with its place; `route` is None where it cannot be read."""
    yield from _twice("receiver", names.receivers)
    yield from _twice("time interval", names.intervals)
    if route is None:
        return
    yield from _wrong_root(route)
    receivers = {name for _, name in names.receivers}
    intervals = {name for _, name in names.intervals}
    for place, node in _walk(route, ("route",)):
        if node.receiver and node.receiver not in receivers:
            yield (*place, "receiver"), _unknown(node.receiver, receivers, "receivers")
        for key in ("mute_time_intervals", "active_time_intervals"):
            for position, name in enumerate(getattr(node, key)):
                if name not in intervals:
                    yield (*place, key, position), _unknown(name, intervals, "time_intervals")


def _twice(what: str, named: Sequence[tuple[Place, str]]) -> Iterator[tuple[Place, str]]:
    counts = Counter(name for _, name in named)
    seen: set[str] = set()
    for place, name in named:
        if name in seen and counts[name] > 1:
            yield place, f"{what} {name!r} is there {counts.pop(name)} times"
        seen.add(name)


def _wrong_root(route: RouteSettings) -> Iterator[tuple[Place, str]]:
    if not route.receiver:
        yield ("route", "receiver"), "is required at the root: it gets what no other route takes"
    for key in ("matchers", "match", "match_re"):
        if getattr(route, key):
            yield ("route", key), "must be empty at the root: it takes every alert"
    if route.continue_:
        yield ("route", "continue"), "has no meaning at the root"
    for key in ("mute_time_intervals", "active_time_intervals"):
        if getattr(route, key):
            yield ("route", key), "must be empty at the root: give them to a child"


def _unknown(name: str, known: Collection[str], where: str) -> str:
    hint = did_you_mean(name, known, where) or f"there are no {where}"
    return f"{name!r} is not in {where}: {hint}"


def _walk(route: RouteSettings, place: Place) -> Iterator[tuple[Place, RouteSettings]]:
    yield place, route
    for position, child in enumerate(route.routes):
        yield from _walk(child, (*place, "routes", position))
