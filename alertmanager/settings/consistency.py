"""What must hold between the parts of the section: names that are used are defined, and defined once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from alertmanager.settings.common import Place
from model.settings import did_you_mean

_INTERVALS = ("mute_time_intervals", "active_time_intervals")


class Names(NamedTuple):
    """The names that routes may use, each with its place, in the order of the file."""

    receivers: Sequence[tuple[Place, str]]
    intervals: Sequence[tuple[Place, str]]


def wrong_in(route: Any, names: Names) -> Iterator[tuple[Place, str]]:
    """Each contradiction with its place.

    `route` is the tree as plain data, whose values may be wrong: what cannot be read is passed over.
    """
    yield from _twice("receiver", names.receivers)
    yield from _twice("time interval", names.intervals)
    if not isinstance(route, Mapping):
        return
    yield from _wrong_root(route)
    receivers = {name for _, name in names.receivers}
    intervals = {name for _, name in names.intervals}
    for place, node in _walk(route, ("route",)):
        name = node.get("receiver")
        if name and str(name) not in receivers:
            yield (*place, "receiver"), _unknown(str(name), receivers, "receivers")
        for key in _INTERVALS:
            for position, name in enumerate(_items(node, key)):
                if str(name) not in intervals:
                    yield (*place, key, position), _unknown(str(name), intervals, "time_intervals")


def _twice(what: str, named: Sequence[tuple[Place, str]]) -> Iterator[tuple[Place, str]]:
    counts = Counter(name for _, name in named)
    seen: set[str] = set()
    for place, name in named:
        if name in seen and counts[name] > 1:
            yield place, f"{what} {name!r} is there {counts.pop(name)} times"
        seen.add(name)


def _wrong_root(route: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    if not route.get("receiver"):
        yield ("route", "receiver"), "is required at the root: it gets what no other route takes"
    for key in ("matchers", "match", "match_re"):
        if route.get(key):
            yield ("route", key), "must be empty at the root: it takes every alert"
    if route.get("continue") not in (None, False, "false", "no"):
        yield ("route", "continue"), "has no meaning at the root"
    for key in _INTERVALS:
        if route.get(key):
            yield ("route", key), "must be empty at the root: give them to a child"


def _unknown(name: str, known: Collection[str], where: str) -> str:
    hint = did_you_mean(name, known, where) or f"there are no {where}"
    return f"{name!r} is not in {where}: {hint}"


def _walk(route: Mapping[str, Any], place: Place) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    yield place, route
    for position, child in enumerate(_items(route, "routes")):
        if isinstance(child, Mapping):
            yield from _walk(child, (*place, "routes", position))


def _items(node: Mapping[str, Any], key: str) -> Sequence[Any]:
    items = node.get(key)
    return items if isinstance(items, list | tuple) else ()
