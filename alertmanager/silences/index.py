"""Which of many silences match an alert, without asking each of them.

A silence that wants a label to have one of a few values is found through that label, one that wants a
regular expression to match together with others like it; only those that say no more than what must not
match are asked for every alert. Answers are remembered, and later changes of silences
are applied to them one by one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from alertmanager.matching import LabelMatch
from alertmanager.silences.expressions import Expressions
from alertmanager.silences.silence import Silence
from alertmanager.tables import EpisodeKey
from model.matcher import Matcher, Op
from telemetry.matching import plain_choices

MOST_CHANGES = 1_000
"""Changes that are applied one by one; an answer that is older is worked out anew."""

Pair = tuple[str, str]


class Answer(NamedTuple):
    """The silences that match, by id, as of a number of changes."""

    version: int
    ids: tuple[str, ...]


class Index:
    """The active silences. `version` counts their changes."""

    def __init__(self) -> None:
        self.version = 0
        self._active: dict[str, LabelMatch] = {}
        self._by_pair: dict[Pair, set[str]] = {}
        self._expressions = Expressions()
        self._others: set[str] = set()
        self._pairs: dict[str, list[Pair]] = {}
        self._changes: deque[str] = deque(maxlen=MOST_CHANGES)
        self._answers: dict[EpisodeKey, Answer] = {}
        self._freed: dict[EpisodeKey, str] = {}

    def __contains__(self, silence: object) -> bool:
        return silence in self._active

    def __len__(self) -> int:
        return len(self._active)

    def add(self, silence: Silence) -> None:
        """It holds from now on."""
        self._active[silence.id] = LabelMatch(silence.matchers)
        self._pairs[silence.id] = pairs = _pairs_of(silence.matchers)
        for pair in pairs:
            self._by_pair.setdefault(pair, set()).add(silence.id)
        if not pairs:
            self._add_other(silence)
        self._changed(silence.id)

    def remove(self, silence: str) -> None:
        """It holds no more."""
        del self._active[silence]
        for pair in self._pairs.pop(silence):
            self._by_pair[pair].discard(silence)
            if not self._by_pair[pair]:
                del self._by_pair[pair]
        self._others.discard(silence)
        self._expressions.discard(silence)
        self._changed(silence)

    def start_over(self) -> None:
        """Nothing is remembered of any alert: they look other than before."""
        self._answers.clear()
        self._freed.clear()
        self.version += 1

    def forget(self, key: EpisodeKey) -> None:
        """This alert is not asked for any more."""
        self._answers.pop(key, None)
        self._freed.pop(key, None)

    def may_match(self, key: EpisodeKey) -> bool:
        """Whether it is worth asking: silences hold, or held this alert before."""
        return bool(self._active) or key in self._answers

    def matching(self, key: EpisodeKey, labels: Mapping[str, str], *, remember: bool) -> tuple[str, ...]:
        """The ids of the active silences that match, sorted."""
        known = self._answers.get(key)
        if known is not None and known.version == self.version:
            return known.ids
        if known is None or self.version - known.version > len(self._changes):
            ids = self._search(labels)
        else:
            ids = self._updated(known, labels)
        if known is not None and known.ids and not ids:
            self._freed[key] = known.ids[-1]
        if remember:
            self._answers[key] = Answer(self.version, ids)
        return ids

    def freed(self, key: EpisodeKey) -> str:
        """The silence that held this alert last and ended; empty if none did."""
        return self._freed.get(key, "")

    def _add_other(self, silence: Silence) -> None:
        for matcher in silence.matchers:
            if matcher.op is Op.MATCHES:
                self._expressions.add(silence.id, matcher)
                return
        self._others.add(silence.id)

    def _search(self, labels: Mapping[str, str]) -> tuple[str, ...]:
        found = {*self._others, *self._expressions.found(labels)}
        for pair in labels.items():
            found |= self._by_pair.get(pair, set())
        return tuple(sorted(silence for silence in found if self._active[silence](labels)))

    def _updated(self, known: Answer, labels: Mapping[str, str]) -> tuple[str, ...]:
        missed = self.version - known.version
        changed = set(islice(self._changes, len(self._changes) - missed, None))
        ids = [silence for silence in known.ids if silence not in changed]
        ids += [silence for silence in changed if silence in self._active and self._active[silence](labels)]
        return tuple(sorted(ids))

    def _changed(self, silence: str) -> None:
        self.version += 1
        self._changes.append(silence)


def _pairs_of(matchers: tuple[Matcher, ...]) -> list[Pair]:
    """Of the matcher that wants the fewest values: the pairs of which an alert must have one."""
    choices = []
    for matcher in matchers:
        values = [matcher.value] if matcher.op is Op.EQUAL else []
        if matcher.op is Op.MATCHES:
            values = plain_choices(matcher.value) or []
        if values and "" not in values:  # a label that is missing has no pair
            choices.append([(matcher.name, value) for value in values])
    return min(choices, key=len, default=[])
