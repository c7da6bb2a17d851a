"""Which series has which labels: postings (label, value) -> ids, and the search over them."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from model.labels import Labels
from model.matcher import Matcher, Op
from telemetry.bits import Ints
from telemetry.matching import predicate


class Index:
    """Postings of all series. Ids only grow until `rebuild`."""

    def __init__(self) -> None:
        self._postings: defaultdict[str, dict[str, array[int]]] = defaultdict(dict)

    def add(self, sid: int, labels: Labels) -> None:
        """Enter a series."""
        for name, value in labels.pairs:
            values = self._postings[name]
            if value in values:
                values[value].append(sid)
            else:
                values[value] = array("q", (sid,))

    def remove(self, removed: Sequence[tuple[int, Labels]]) -> None:
        """Take series out."""
        touched: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        for sid, labels in removed:
            for pair in labels.pairs:
                touched[pair].add(sid)
        for (name, value), gone in touched.items():
            values = self._postings[name]
            left = array("q", (sid for sid in values[value] if sid not in gone))
            if left:
                values[value] = left
            else:
                del values[value]
                if not values:
                    del self._postings[name]

    def rebuild(self, series: Mapping[Labels, int]) -> None:
        """Start anew with these series and their ids."""
        self._postings.clear()
        for labels, sid in series.items():
            self.add(sid, labels)

    def names(self) -> list[str]:
        """All label names, sorted."""
        return sorted(self._postings)

    def values(self, name: str) -> list[str]:
        """All values of a label, sorted."""
        return sorted(self._postings[name]) if name in self._postings else []

    def has(self, name: str, value: str) -> bool:
        """Whether any series has this label with this value."""
        return value in self._postings.get(name, ())

    def search(self, matchers: Sequence[Matcher], labels: Sequence[Labels]) -> Ints:
        """The ids of the series that satisfy all matchers, ascending. `labels` by id.

        Raises InvalidMatcher.
        """
        found: Ints | None = None
        for matcher in matchers:
            matching = self._by_postings(matcher)
            if matching is not None:
                found = matching if found is None else np.intersect1d(found, matching, assume_unique=True)
        rest = [matcher for matcher in matchers if not _answered_by_postings(matcher)]
        if found is None:
            found = self._all()
        for matcher in rest:
            found = _filter(found, matcher, labels)
        return found

    def _by_postings(self, matcher: Matcher) -> Ints | None:
        if not _answered_by_postings(matcher):
            return None
        values = self._postings.get(matcher.name, {})
        if matcher.op is Op.EQUAL:
            chosen = [values[matcher.value]] if matcher.value in values else []
        else:
            matches = predicate(matcher)
            chosen = [ids for value, ids in values.items() if matches(value)]
        if not chosen:
            return np.empty(0, np.int64)
        return np.sort(np.concatenate([np.array(ids, np.int64) for ids in chosen]))

    def _all(self) -> Ints:
        return np.unique(
            np.concatenate(
                [np.empty(0, np.int64)]
                + [np.array(ids, np.int64) for values in self._postings.values() for ids in values.values()]
            )
        )


def _answered_by_postings(matcher: Matcher) -> bool:
    """A metric name, or a value that a series must have: the rest is asked series by series."""
    if matcher.op is Op.EQUAL:
        return matcher.value != ""
    return matcher.name == "__name__" and not predicate(matcher)("")


def _filter(ids: Ints, matcher: Matcher, labels: Sequence[Labels]) -> Ints:
    matches, name = predicate(matcher), matcher.name
    known: dict[str, bool] = {}
    kept = []
    for sid in ids.tolist():
        value = labels[sid].value(name)
        if value not in known:
            known[value] = matches(value)
        if known[value]:
            kept.append(sid)
    return np.array(kept, np.int64)
