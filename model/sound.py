"""What can be taken of a configuration in which something is wrong, so that the rest is checked as well."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from model.settings import ConfigurationError, Problem, Section, load_section

Place = tuple[str, ...]
"""The keys that lead to a value, positions in lists as text."""

_MOST_ROUNDS = 20
"""What is left out may leave something else incomplete, which then goes too; more than this is no file."""


@dataclass(frozen=True)
class Sound(Generic[Section]):
    """`settings` are those of `data` without what stands at the places `removed`.

    `late` are the problems that showed only then, by their places in the file.
    """

    settings: Section
    data: Mapping[str, Any]
    removed: frozenset[Place]
    late: tuple[tuple[Place, Problem], ...]
    key: str = ""

    def beside(self, file: str, problems: Iterable[Problem]) -> Iterator[Problem]:
        """What was found late and in the settings, with the keys of the file; not what only gaps cause."""
        yield from (problem for place, one in self.late for problem in self._said(file, place, one))
        for problem in problems:
            if problem.file != file:
                yield problem
            else:
                place = self._place(problem.key)
                yield from () if _has_gap(place, self.removed) else self._said(file, place, problem)

    def _said(self, file: str, place: Place, problem: Problem) -> Iterator[Problem]:
        said = problem.message
        named = any(said.startswith(f"{name!r} is ") for name in self._names())
        used = any(len(one) > 1 and ".".join(one) in said for one in self.removed)
        if not (named or used):
            yield Problem(file, ".".join(filter(None, [self.key, *place])), said, problem.hint)

    def _place(self, key: str) -> Place:
        own = key.removeprefix(self.key).removeprefix(".") if self.key else key
        return _original(self.data, self.removed, own.split(".") if own else [])

    def _names(self) -> Iterator[str]:
        """The names of what is not there any more."""
        for place in self.removed:
            part: Any = self.data
            for step in place:
                part = part[int(step)] if isinstance(part, list) else part[_key(part, step)]
            if isinstance(part, dict) and "name" in part:
                yield str(part["name"])


def sound_part(model: type[Section], data: Mapping[str, Any], key: str = "") -> Sound[Section] | None:
    """The settings without what is wrong in them; None if nothing is left. `key` is where data stands."""
    removed: frozenset[Place] = frozenset()
    late: list[tuple[Place, Problem]] = []
    for _ in range(_MOST_ROUNDS):
        try:
            settings = load_section(model, _without(data, removed), "")
        except ConfigurationError as error:
            wrong = [(_original(data, removed, one.key.split(".")), one) for one in error.problems]
            if removed:  # before, it is what whoever loads the whole was told
                late += [one for one in wrong if not _by_gap(data, removed, one[0])]
            fresh = {_there(data, removed, place) for place, _ in wrong}
            if () in fresh:
                return None
            removed |= fresh
        else:
            return Sound(settings, data, removed, tuple(late), key)
    return None


def _has_gap(place: Place, removed: frozenset[Place]) -> bool:
    """Whether something was taken out there or beneath."""
    return any(one[: len(place)] == place for one in removed)


def _by_gap(data: Any, removed: frozenset[Place], place: Place) -> bool:
    """Whether a problem that showed late is only of a gap: of what was taken out, or is missed beside it.

    What is missed in the file itself was told before anything was taken out.
    """
    missed = _there(data, frozenset(), place) != place
    return _has_gap(place, removed) or (missed and any(one[:-1] == place[:-1] for one in removed))


def _key(part: Mapping[Any, Any], step: str) -> Any:
    """The key of a mapping that is written so: a number may be one."""
    return next((key for key in part if str(key) == step), step)


def _without(part: Any, removed: frozenset[Place], at: Place = ()) -> Any:
    if isinstance(part, dict):
        inner = ((key, value, (*at, str(key))) for key, value in part.items())
        return {key: _without(value, removed, place) for key, value, place in inner if place not in removed}
    if isinstance(part, list):
        places = ((value, (*at, str(position))) for position, value in enumerate(part))
        return [_without(value, removed, place) for value, place in places if place not in removed]
    return part


def _original(data: Any, removed: frozenset[Place], steps: Iterable[str]) -> Place:
    """Where something stands in the file that has this place in what is left of it."""
    place: Place = ()
    part = data
    for step in steps:
        if isinstance(part, list) and step.isdigit():
            left = [one for one in range(len(part)) if (*place, str(one)) not in removed]
            position = left[int(step)] if int(step) < len(left) else len(part)
            part = part[position] if position < len(part) else None
            place = (*place, str(position))
        else:
            part = part.get(_key(part, step)) if isinstance(part, dict) else None
            place = (*place, step)
    return place


def _there(data: Any, removed: frozenset[Place], place: Place) -> Place:
    """The part of a place that is there: what lacks something is wrong itself."""
    part = data
    for depth, step in enumerate(place):
        if place[: depth + 1] in removed:
            return place[:depth]
        if isinstance(part, list) and step.isdigit() and int(step) < len(part):
            part = part[int(step)]
        elif isinstance(part, dict) and _key(part, step) in part:
            part = part[_key(part, step)]
        else:
            return place[:depth]
    return place
