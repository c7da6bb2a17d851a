"""Regular expressions of many silences: one pass over a label's value says which of hundreds match.

Silences come and go one by one, and to compile hundreds anew for each would take longer than to ask them.
So new ones are asked one by one until there are some; what has ended is left where it is, and passed over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from model.matcher import Matcher
from telemetry.matching import InvalidMatcher, together

MOST_NEW = 32
"""So many are asked one by one before they are compiled."""
LARGEST = 512
"""So many are compiled together: 10 ms."""


class _Bunch:
    """Some silences that ask for the same label."""

    def __init__(self, name: str, silences: Sequence[tuple[str, Matcher]]) -> None:
        self.name = name
        self.live = dict(silences)
        self._places = [silence for silence, _ in silences]
        self._matching = _together([matcher.value for _, matcher in silences])
        self._without = list(self._asked(""))

    def found(self, labels: Mapping[str, str]) -> Iterator[str]:
        value = labels.get(self.name, "")
        return (one for one in (self._asked(value) if value else self._without) if one in self.live)

    def _asked(self, value: str) -> Iterator[str]:
        places = self._matching(value)
        if places is None:
            return iter(self._places)  # it cannot be said: each may match
        return (self._places[place] for place in places)


class Expressions:
    """Silences by one regular expression of each, which an alert must match."""

    def __init__(self) -> None:
        self._new: dict[str, Matcher] = {}
        self._bunches: dict[str, list[_Bunch]] = {}
        self._places: dict[str, _Bunch] = {}

    def add(self, silence: str, matcher: Matcher) -> None:
        """It is looked for from now on."""
        self._new[silence] = matcher

    def discard(self, silence: str) -> None:
        """It is looked for no more."""
        self._new.pop(silence, None)
        bunch = self._places.pop(silence, None)
        if bunch is None:
            return
        del bunch.live[silence]
        if not bunch.live:
            bunches = self._bunches[bunch.name]
            bunches.remove(bunch)
            if not bunches:
                del self._bunches[bunch.name]

    def found(self, labels: Mapping[str, str]) -> Iterator[str]:
        """The silences that may match these labels; no other one does."""
        if len(self._new) > MOST_NEW:
            self._compile()
        yield from self._new
        for bunches in self._bunches.values():
            for bunch in bunches:
                yield from bunch.found(labels)

    def _compile(self) -> None:
        """Those that are new, with the bunches that are not full."""
        by_name: dict[str, list[tuple[str, Matcher]]] = {}
        for silence, matcher in self._new.items():
            by_name.setdefault(matcher.name, []).append((silence, matcher))
        self._new.clear()
        for name, silences in by_name.items():
            before = self._bunches.get(name, [])
            full = [bunch for bunch in before if len(bunch.live) > LARGEST // 2]
            for bunch in before:
                silences += bunch.live.items() if bunch not in full else ()
            made = [
                _Bunch(name, silences[first : first + LARGEST]) for first in range(0, len(silences), LARGEST)
            ]
            self._bunches[name] = full + made
            for bunch in made:
                self._places |= dict.fromkeys(bunch.live, bunch)


def _together(texts: Sequence[str]) -> Callable[[str], list[int] | None]:
    try:
        return together(texts)
    except InvalidMatcher:  # each by itself was none: they are too large together
        return lambda value: None
