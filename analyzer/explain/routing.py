"""The way of an alert through the route tree: which nodes took it, which did not, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from alertmanager.matching import LabelMatch
from alertmanager.route import Route


@dataclass(frozen=True, slots=True)
class Step:
    """One node that was looked at. `final` are those whose receiver the alert goes to."""

    depth: int
    matchers: str
    receiver: str
    taken: bool
    why: str
    final: bool = False

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "depth": self.depth,
            "route": self.matchers,
            "receiver": self.receiver,
            "taken": self.taken,
            "final": self.final,
            "why": self.why,
        }


def way_of(root: Route, labels: Mapping[str, str]) -> list[Step]:
    """Every node that is looked at for these labels, in the order in which it is."""
    return list(_steps(root, labels, 0))


def _steps(route: Route, labels: Mapping[str, str], depth: int) -> Iterator[Step]:
    """The steps at and below a node that takes the labels."""
    below: list[Step] = []
    taken_by: Route | None = None
    for child in route.children:
        if taken_by is not None:
            why = f"it was not asked: {taken_by.matches} took the alert and does not continue"
            below.append(Step(depth + 1, str(child.matches), child.receiver, False, why))
        elif not child.matches(labels):
            below.append(Step(depth + 1, str(child.matches), child.receiver, False, _failing(child, labels)))
        else:
            below += _steps(child, labels, depth + 1)
            taken_by = None if child.goes_on else child
    final = not any(step.taken for step in below)
    why = "it takes every alert" if depth == 0 else _matching(route, labels)
    if final and route.children:
        why += "; none of the routes below it does"
    elif route.goes_on:
        why += "; it continues with its siblings"
    yield Step(depth, str(route.matches) if depth else "root", route.receiver, True, why, final)
    yield from below


def _failing(route: Route, labels: Mapping[str, str]) -> str:
    """The first matcher that does not take the labels."""
    for matcher in route.matches.matchers:
        if not LabelMatch([matcher])(labels):
            value = labels.get(matcher.name, "")
            shown = f"is {value!r}" if value else "is not there"
            return f"{matcher} does not match: {matcher.name} {shown}"
    return "it matches"


def _matching(route: Route, labels: Mapping[str, str]) -> str:
    matchers = route.matches.matchers
    if not matchers:
        return "it has no matchers and takes every alert"
    return " and ".join(f"{matcher.name} is {labels.get(matcher.name, '')!r}" for matcher in matchers)
