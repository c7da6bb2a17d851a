"""The label sets of a column of values, worked on once and remembered.

A `Column` is a set of rows that may or may not be present now; its `Frame` says which label sets the
rows have. A frame does not build the label sets that nobody asks for: it holds those of the window
and the names that an operation has dropped or kept.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from model.labels import NAME, Labels
from rules.promql.errors import EvaluationError

Key = tuple[object, ...]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Projection:
    """Which labels of a label set count: `on`/`by` keep the names, `ignoring`/`without` drop them."""

    keep: bool
    names: frozenset[str]

    def after(self, first: Projection) -> Projection:
        """The projection that does `first` and then this one."""
        if first.keep:
            left = first.names & self.names if self.keep else first.names - self.names
            return Projection(True, left)
        if self.keep:
            return Projection(True, self.names - first.names)
        return Projection(False, first.names | self.names)

    def apply(self, labels: Labels) -> Labels:
        """The labels that are left."""
        return labels.only(self.names) if self.keep else labels.without(*self.names)

    def keys(self, rows: Iterable[Labels]) -> list[Key]:
        """For each label set a hashable stand-in for `apply(labels)`, cheaper than building it."""
        if self.keep:
            names = sorted(self.names)
            return [tuple([labels.value(name) for name in names]) for labels in rows]
        dropped = self.names
        if not dropped:
            return [labels.pairs for labels in rows]
        return [tuple([pair for pair in labels.pairs if pair[0] not in dropped]) for labels in rows]


ALL = Projection(False, frozenset())
WITHOUT_NAME = Projection(False, frozenset({NAME}))


class Frame:
    """The label sets of S rows, and for each the scrape interval of the series that it came from.

    `intervals` (ms) is what `for: $scrapes(n)` counts in; a row made of several series has the
    longest of theirs, a row made of none has 0. `unique` promises that no two rows are alike.
    """

    def __init__(
        self,
        base: Sequence[Labels],
        intervals: Integers,
        projection: Projection = ALL,
        unique: bool = False,
    ) -> None:
        self._base = base
        self._unique = unique
        self._projection = projection
        self._rows: dict[int, Labels] = {}
        self._keys: dict[Projection, list[Key]] = {}
        self._nameless: Frame | None = None
        self.intervals = intervals
        self.remembered: dict[object, Any] = {}
        """What nodes have worked out from the label sets, by what they are and their projection."""

    def __len__(self) -> int:
        return len(self._base)

    def __getitem__(self, row: int) -> Labels:
        if self._projection is ALL:
            return self._base[row]
        found = self._rows.get(row)
        if found is None:
            found = self._rows[row] = self._projection.apply(self._base[row])
        return found

    def __iter__(self) -> Iterator[Labels]:
        return (self[row] for row in range(len(self)))

    def rows(self, wanted: Integers) -> list[Labels]:
        """The label sets of these rows."""
        if self._projection is ALL:
            return [self._base[row] for row in wanted.tolist()]
        return [self[row] for row in wanted.tolist()]

    def project(self, projection: Projection, unique: bool = False) -> Frame:
        """The same rows with fewer labels; `unique` as for a frame, of the rows that will be present."""
        return Frame(self._base, self.intervals, projection.after(self._projection), unique)

    @property
    def nameless(self) -> Frame:
        """The same rows without the metric name; the same object each time."""
        if self._nameless is None:
            alike = self._unique and len({labels.name for labels in self._base}) <= 1
            projection = WITHOUT_NAME.after(self._projection)
            self._nameless = Frame(self._base, self.intervals, projection, unique=alike)
        return self._nameless

    def partly_nameless(self, dropped: Bools) -> Frame:
        """Without the metric name where it is `dropped`; the same object while that is the same."""
        known = self.remembered.get("partly nameless")
        if known is None or not np.array_equal(known[0], dropped):
            labels = [
                row.without(NAME) if gone else row for row, gone in zip(self, dropped.tolist(), strict=True)
            ]
            known = self.remembered["partly nameless"] = dropped.copy(), Frame(labels, self.intervals)
        frame: Frame = known[1]
        return frame

    def keys(self, projection: Projection) -> list[Key]:
        """For each row what stands for its labels under `projection`; equal keys, equal labels.

        Keys of two frames can be compared, for they depend on nothing but the labels that are left.
        """
        found = self._keys.get(projection)
        if found is None:
            found = self._keys[projection] = self._make_keys(projection)
        return found

    def _make_keys(self, projection: Projection) -> list[Key]:
        if not self._projection.keep:
            if not projection.keep:
                return projection.after(self._projection).keys(self._base)
            if not projection.names & self._projection.names:
                return projection.keys(self._base)
        return projection.keys(self)

    @cached_property
    def groups(self) -> Integers | None:
        """For each row a number that equal label sets share; None where all rows differ."""
        if self._unique:
            return None
        known: dict[Key, int] = {}
        numbers = [known.setdefault(key, len(known)) for key in self.keys(ALL)]
        return None if len(known) == len(numbers) else np.array(numbers, dtype=np.int64)


class Shelf:
    """Frames that expressions share: those that select the same series do label work once.

    For expressions that stay, such as rules. `owner` is what a frame was made from; it is kept alive with
    the frame, so that its identity can stand for it.
    """

    def __init__(self) -> None:
        self._frames: WeakValueDictionary[tuple[object, ...], Frame] = WeakValueDictionary()

    def frame(self, owners: Sequence[object], labels: Sequence[Labels], intervals: Integers) -> Frame:
        """The frame of these owners, all of whose label sets differ; get or make."""
        key = (tuple(map(id, owners)), intervals.tobytes())
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = Frame(labels, intervals, unique=True)
            frame.remembered["owners"] = tuple(owners)
        return frame


@dataclass(slots=True)
class Column:
    """Values of the rows of a frame; where `present` is False the value means nothing.

    `dropped` says of which rows the metric name goes when the expression is done. Until then it is there,
    so that `label_replace` and `by (__name__)` see it, and so that the label sets of functions and
    operators need no work at all. `order` lists the present rows as they are to be shown, where that matters.
    """

    frame: Frame
    values: Floats
    present: Bools
    dropped: bool | Bools = False
    order: Integers | None = None

    def checked(self) -> Column:
        """Itself, unless two present rows have equal labels; then EvaluationError."""
        groups = self.frame.groups
        if groups is not None:
            counts = np.bincount(groups[self.present], minlength=1)
            if counts.max(initial=0) > 1:
                row = int(np.flatnonzero(groups == counts.argmax())[0])
                raise EvaluationError(
                    f"vector cannot contain metrics with the same labelset: {self.frame[row]}"
                )
        return self

    def done(self) -> Column:
        """The rows without the names that were dropped. Raises EvaluationError if two are alike then."""
        if np.ndim(self.dropped) and not np.all(self.dropped):
            frame = self.frame.partly_nameless(np.broadcast_to(self.dropped, self.present.shape))
            return replace(self, frame=frame, dropped=False).checked()
        if np.all(self.dropped):
            return replace(self, frame=self.frame.nameless, dropped=False).checked()
        return self


def either_dropped(one: bool | Bools, other: bool | Bools) -> bool | Bools:
    """Of which rows one or the other drops the name."""
    return one or other if isinstance(one, bool) and isinstance(other, bool) else np.logical_or(one, other)


Value = float | str | Column


def frame_of(labels: Collection[Labels], intervals: Integers | None = None) -> Frame:
    """A frame of label sets that stand as they are."""
    if intervals is None:
        intervals = np.zeros(len(labels), dtype=np.int64)
    return Frame(list(labels), intervals)


EMPTY = frame_of([])


def empty() -> Column:
    """A vector without rows."""
    return Column(EMPTY, np.empty(0), np.empty(0, dtype=np.bool_))
